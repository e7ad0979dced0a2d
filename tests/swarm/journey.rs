//! The steps as tests, and the state that they share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use tests::swarm::checker::{Checker, Violations};
use tests::swarm::cluster::Cluster;
use tests::swarm::inboxes::Inboxes;
use tests::swarm::namespaces::Run;
use tests::swarm::page::Page;
use tests::swarm::project;
use tokio::runtime::Runtime;

use crate::Length;
use crate::steps::{STEPS, Step};

/// The state that the steps share.
pub(crate) struct Journey {
    pub(crate) cluster: Cluster,
    pub(crate) page: Page,
    pub(crate) length: Length,
    /// Set from the first deployment on.
    pub(crate) checker: Option<Checker>,
    /// The operator's inboxes, once alerts are set up.
    pub(crate) inboxes: Option<Inboxes>,
    /// Set once there are certificates: replaces `run --rm` in a block, so that its container trusts them.
    pub(crate) trust: Option<String>,
    /// Printed at the end.
    pub(crate) notes: Vec<String>,
}

struct Shared {
    runtime: Runtime,
    journey: Mutex<Journey>,
    passed: Mutex<BTreeSet<&'static str>>,
}

/// Runs the selected steps. This process must be inside the namespaces.
pub(crate) fn run(arguments: &Arguments, run: Run, length: Length) -> Conclusion {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let cluster = runtime.block_on(Cluster::start(run)).unwrap_or_else(|error| panic!("{error}"));
    let page = Page::read(&project::root().join("docs/deploy.md")).unwrap_or_else(|error| panic!("{error}"));
    for line in cluster.kernel.describe() {
        println!("{line}");
    }
    let journey =
        Mutex::new(Journey { cluster, page, length, checker: None, inboxes: None, trust: None, notes: Vec::new() });
    let shared = Arc::new(Shared { runtime, journey, passed: Mutex::default() });
    let mut conclusion = libtest_mimic::run(arguments, STEPS.iter().map(|step| trial(step, shared.clone())).collect());
    if !shared.report() {
        // A wrong count between two steps fails the journey.
        conclusion.num_failed += 1;
    }
    conclusion
}

fn trial(step: &'static Step, shared: Arc<Shared>) -> Trial {
    Trial::test(step.name, move || {
        let missing: Vec<&str> = {
            let passed = shared.passed.lock().unwrap_or_else(PoisonError::into_inner);
            step.needs.iter().copied().filter(|needed| !passed.contains(needed)).collect()
        };
        if !missing.is_empty() {
            return Err(Failed::from(format!("needs {}", missing.join(", "))));
        }
        {
            let mut journey = shared.journey.lock().unwrap_or_else(PoisonError::into_inner);
            shared.runtime.block_on(async {
                if !step.needs.is_empty() {
                    journey.restore().await;
                }
                (step.run)(&mut journey).await;
            });
        }
        shared.passed.lock().unwrap_or_else(PoisonError::into_inner).insert(step.name);
        Ok(())
    })
}

impl Journey {
    /// Repairs the state that a failed step has left behind: hosts that are off, cut off or drained.
    async fn restore(&mut self) {
        for host in &mut self.cluster.hosts {
            host.start().await.unwrap_or_else(|error| panic!("{error}"));
        }
        for host in &self.cluster.hosts {
            let others = self.cluster.hosts.iter().map(|other| other.address);
            // Fails where the engine has not created the chain.
            drop(host.run("iptables --wait -F DOCKER-USER").await);
            host.reconnect_to(&others.filter(|other| *other != host.address).collect::<Vec<_>>()).await.unwrap_or(());
            // Fails without a quorum, or where there is nothing to undo.
            let reactivated = host.run(&format!("docker node update --availability active {}", host.name)).await;
            drop(reactivated);
        }
    }

    /// Runs a block of the page.
    pub(crate) async fn block(&mut self, name: &str) -> (String, String) {
        self.page
            .run(&self.cluster, name)
            .await
            .unwrap_or_else(|error| panic!("block {name} of docs/deploy.md: {error}"))
    }
}

impl Shared {
    /// Prints the notes and the table. Returns whether the judge finds no violation from the first visit to the last.
    fn report(&self) -> bool {
        let journey = self.journey.lock().unwrap_or_else(PoisonError::into_inner);
        println!();
        for note in &journey.notes {
            println!("{note}");
        }
        let Some(checker) = &journey.checker else { return true };
        println!("\n{}", checker.table);
        let verdict = checker.judge();
        println!(
            "{} visits got a number; {}",
            checker.acknowledged(),
            if verdict.holds() { "all is well" } else { "BROKEN" }
        );
        print!("{}", Violations(&verdict));
        verdict.holds()
    }
}
