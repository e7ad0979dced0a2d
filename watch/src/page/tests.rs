use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::alert::rule::Rule;

/// The paths of the files in this folder, with one for all parts of the style sheet.
fn files() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page");
    let names = |folder: &Path, prefix: &str| {
        let entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let files = entries.into_iter().filter(|path| path.extension().is_some_and(|end| end != "rs"));
        files.map(|path| format!("{prefix}{}", path.file_name().unwrap().to_string_lossy())).collect::<Vec<_>>()
    };
    let views = names(&folder.join("view"), "/view/");
    names(&folder, "/").into_iter().chain(views).chain(["/style.css".to_owned()]).collect()
}

/// Returns the texts between `start` and `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).filter_map(|rest| rest.split(end).next()).collect()
}

#[test]
fn exactly_the_files_of_the_folder_are_served() {
    let served: BTreeSet<String> = ASSETS
        .iter()
        .map(|asset| if asset.path == "/" { "/index.html".to_owned() } else { asset.path.to_owned() })
        .collect();
    assert_eq!(served, files());
    assert_eq!(asset("/").unwrap().content_type, HTML);
    for path in ["", "/index.html", "/mod.rs", "/view", "/view/", "/../lib.rs", "/main.js?"] {
        assert_eq!(asset(path), None, "{path}");
    }
}

#[test]
fn the_style_sheet_consists_of_all_its_parts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/style");
    let parts: Vec<_> = fs::read_dir(folder).unwrap().map(|part| part.unwrap().path()).collect();
    let mut size = 0;
    for part in &parts {
        let text = fs::read_to_string(part).unwrap();
        assert!(STYLE.contains(&text), "{}", part.display());
        size += text.len();
    }
    assert_eq!(size, STYLE.len(), "{parts:?}");
}

#[test]
fn every_referenced_file_is_served() {
    let page = asset("/").unwrap().body;
    for path in between(page, "href=\"", "\"").into_iter().chain(between(page, "src=\"", "\"")) {
        // Relative, because a proxy may serve the page below a path.
        let is_served = path == "api/swarm" || asset(&format!("/{path}")).is_some();
        assert!(path.starts_with('#') || is_served, "{path}");
    }
    for file in ASSETS.iter().filter(|file| file.content_type == JS) {
        let folder = file.path.rsplit_once('/').unwrap().0;
        for import in between(file.body, " from \"", "\";") {
            let path = match import.strip_prefix("../") {
                Some(rest) => format!("/{rest}"),
                None => format!("{folder}{}", import.strip_prefix('.').unwrap()),
            };
            assert!(asset(&path).is_some(), "{}: {import}", file.path);
        }
    }
}

#[test]
fn there_are_no_external_resources_and_no_inline_code() {
    for file in ASSETS {
        // A namespace is not fetched.
        let text = file.body.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "\"//", "'//", "(//", "\"/api", "@import", "url(", "data:text", "eval("]
        {
            assert!(!text.contains(outside), "{}: {outside}", file.path);
        }
        // Data never becomes markup.
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "setHTML", "DOMParser"] {
            assert!(!text.contains(markup), "{}: {markup}", file.path);
        }
    }
    let page = asset("/").unwrap().body;
    for line in ["<style", "style=", "<script>", "onclick", "onload", "javascript:"] {
        assert!(!page.contains(line), "{line}");
    }
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script src=").count() + page.matches("<script type=\"module\" src=").count()
    );
}

#[test]
fn the_page_stays_small() {
    let size: usize = ASSETS.iter().map(|asset| asset.body.len()).sum();
    println!("{size} bytes in {} files", ASSETS.len());
    assert!(size < 160_000, "{size}");
}

#[test]
fn the_order_of_alerts_knows_every_rule() {
    let script = asset("/causes.js").unwrap().body;
    let rules = between(script, "export const RULES = [", "];")[0];
    let known: BTreeSet<&str> = between(rules, "\"", "\"").into_iter().step_by(2).collect();
    assert_eq!(known, Rule::ALL.into_iter().map(Rule::name).collect());
}

#[test]
fn a_tag_depends_on_the_content_only() {
    let file = Asset { path: "/", content_type: HTML, body: "one" };
    assert_eq!(file.etag(), Asset { path: "/x", content_type: CSS, body: "one" }.etag());
    assert_ne!(file.etag(), Asset { body: "two", ..file }.etag());
    assert!(file.etag().starts_with('"') && file.etag().ends_with('"'));
}
