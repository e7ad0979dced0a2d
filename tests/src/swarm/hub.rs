//! The stand-in for Docker Hub, from which the engines pull third-party images.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::fabric::HUB;
use super::host::Host;
use super::shell::Failed;
use crate::process::Process;

/// A registry that the engines use as a mirror of Docker Hub. Dropping it ends it.
#[derive(Debug)]
pub struct Hub {
    _process: Process,
}

impl Hub {
    /// Starts an empty registry.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(folder: &Path) -> Self {
        let store = folder.join("hub");
        let settings = folder.join("hub.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {HUB}\n",
            store.display()
        );
        fs::write(&settings, text).expect("a writable folder");
        let mut process = Process::of("docker-registry").arg("serve").arg(&settings).start();
        process.line("listening on").await;
        Self { _process: process }
    }

    /// Moves the images `names` from `host` to the registry.
    ///
    /// # Errors
    /// They cannot be pushed.
    pub async fn push_from(&self, host: &Host, names: &[String]) -> Result<(), Failed> {
        for name in names {
            let target = format!("{HUB}/library/{name}");
            let script =
                format!("docker tag {name} {target}\ndocker push --quiet {target}\ndocker rmi {target} {name}");
            host.bash(&script, &[], Duration::from_secs(120)).await?;
        }
        Ok(())
    }
}
