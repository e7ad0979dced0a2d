//! How a file is read and its problems are reported, using the settings of a garden.

use std::{path::Path, time::Duration};

use toml::Spanned;

use crate::{
    Kind, Problem, Report, Section, into_values,
    kind::{BOOLEAN, DURATION, SHARE, whole},
    problem::Lines,
    reference::{Keys, blocks, compare, documented},
    value,
};

const BEDS: Kind<u16> = Kind { name: "count", example: "3", read: |v| whole(v, 1, 12) };
const PLANT: Kind<String> = Kind { name: "text", example: "\"rose\"", read: |v| v.as_str().map(value::line) };

/// The values read, for comparison.
#[derive(Debug, Default, PartialEq)]
struct Garden {
    beds: Option<u16>,
    sun: Option<f64>,
    /// With the lines that they stand on.
    plants: Vec<(String, usize)>,
    water: Option<Option<Duration>>,
    gates: Vec<Option<bool>>,
    people: Vec<(String, Option<u16>)>,
    notes: Vec<(String, String)>,
}

fn garden(root: &mut Section<'_>) -> Garden {
    if root.has("lawn") {
        root.warning("lawn", "is hardly worth it");
    }
    root.get("lawn", &BOOLEAN);
    Garden {
        beds: root.required("beds", &BEDS),
        sun: root.get("sun", &SHARE),
        plants: {
            let plants = root.required_list("plants", &PLANT);
            let lines: Vec<_> = plants.iter().map(Spanned::span).map(|span| root.line(&span)).collect();
            into_values(plants).into_iter().zip(lines).collect()
        },
        water: root.switch("water", |section| section.get("every", &DURATION)),
        gates: root.tables("gate", |section| section.get("locked", &BOOLEAN)),
        people: root.named("person", |name, section| match name {
            "snail" => Err("is not a person".to_owned()),
            _ => Ok((name.to_owned(), section.get("beds", &BEDS))),
        }),
        notes: {
            let notes = root.texts("notes").into_iter();
            notes.map(|(name, text)| (name.get_ref().to_string(), text.into_inner())).collect()
        },
    }
}

fn read(text: &str) -> Result<(Garden, Vec<Problem>), Vec<Problem>> {
    Report::new(text, Path::new("garden.toml")).read(garden)
}

/// All problems of `text`.
fn wrong(text: &str) -> String {
    Lines(&read(text).unwrap_err()).to_string()
}

#[test]
fn every_shape_is_read_in_the_order_of_the_file() {
    let text = "beds = 0x0c\nsun = 1\nplants = [\"rose\",\n\"ivy\"]\nlawn = true\nwater = true\n\
                gate = { locked = true }\nnotes = { z = \"1\", a = \"2\" }\n\
                [person.zoe]\nbeds = 2\n[person.\"my aunt\"]";
    let (garden, warnings) = read(text).unwrap();
    assert_eq!(
        garden,
        Garden {
            beds: Some(12),
            sun: Some(1.0),
            plants: vec![("rose".into(), 3), ("ivy".into(), 4)],
            water: Some(None),
            gates: vec![Some(true)],
            people: vec![("zoe".into(), Some(2)), ("my aunt".into(), None)],
            notes: vec![("z".into(), "1".into()), ("a".into(), "2".into())],
        }
    );
    assert_eq!(Lines(&warnings).to_string(), "garden.toml:5:8: lawn: is hardly worth it");
}

#[test]
fn one_text_is_a_list_and_a_switch_can_be_off() {
    let (garden, _) = read("beds = 1\nplants = \"ivy\"\nwater = false\n[[gate]]\n[[gate]]\nlocked = false").unwrap();
    assert_eq!((garden.plants.len(), garden.water, garden.gates), (1, None, vec![None, Some(false)]));
    let (garden, _) = read("beds = 1\nplants = \"ivy\"\nwater.every = \"1day\"").unwrap();
    assert_eq!(garden.water, Some(Some(Duration::from_secs(24 * 60 * 60))));
}

#[test]
fn all_problems_are_reported_at_once_with_place_and_fix() {
    let text = "bedz = 1\nsun = \"much\"\nplants = []\nlocked = true\ncellar = 1\nwater = 5\n\
                [[gate]]\n[person.\"my aunt\"]\nbeds = 13\n[person.snail]\nspeed = 0\n[notes]\n'ä' = 1";
    insta::assert_snapshot!(wrong(text), @r#"
    garden.toml:1:1: beds: is missing: add beds = 3
    garden.toml:1:1: bedz: there is no such key; did you mean "beds"?
    garden.toml:2:7: sun: expected share, found string: write it like 0.5
    garden.toml:3:10: plants: is missing: add plants = "rose"
    garden.toml:4:1: locked: there is no such key here; it belongs to [gate]
    garden.toml:5:1: cellar: there is no such key; this section has: lawn, beds, sun, plants, water, gate, person, notes
    garden.toml:6:9: water: expected a section, found integer: write [water]
    garden.toml:9:8: person."my aunt".beds: 13 is not allowed here: write a whole number from 1 to 12
    garden.toml:10:9: person.snail: is not a person
    garden.toml:13:7: notes.ä: expected text, found integer: write it in quotes
    "#);
}

#[test]
fn the_keys_of_repeated_tables_are_listed_once() {
    let problems = wrong("beds = 1\nplants = \"ivy\"\n[[gate]]\n[[gate]]\ncolour = 1");
    assert_eq!(problems, "garden.toml:5:1: gate.colour: there is no such key; this section has: locked");
}

#[test]
fn a_syntax_error_hides_what_follows_from_it() {
    let text = "bedz = 1\nsun = ";
    let problems = wrong(text);
    assert!(problems.starts_with("garden.toml:2:7: not TOML: "), "{problems}");
    assert_eq!(problems.lines().count(), 1, "{problems}");
}

#[test]
fn reading_a_part_ignores_problems_elsewhere() {
    let text = "sun = 0.5\nbeds = 99\n[broken";
    let report = || Report::new(text, Path::new("garden.toml"));
    assert_eq!(report().read_part(|root| root.get("sun", &SHARE)), Ok(Some(0.5)));
    let problems = report().read_part(|root| root.get("beds", &BEDS)).unwrap_err();
    assert_eq!(
        Lines(&problems).to_string(),
        "garden.toml:2:8: beds: 99 is not allowed here: write a whole number from 1 to 12"
    );
}

#[test]
fn a_reference_is_compared_with_the_keys_that_the_code_reads() {
    let text = "beds = 1\nplants = \"ivy\"";
    let report = Report::new(text, Path::new("garden.toml"));
    report.read(garden).unwrap();
    let known: Keys = report.keys().into_iter().map(|(key, kind)| (key, (kind, "none".to_owned()))).collect();
    assert_eq!(known["plants"].0, "text or list");
    assert_eq!(known["water.every"].0, "duration");

    let row = |key: &str, kind: &str| format!("| `{key}` | {kind} | none | Whatever it means. |\n");
    let mut docs = "### The top of the file\n".to_owned();
    for (key, (kind, _)) in known.iter().filter(|(key, _)| !key.contains('.')) {
        docs += &row(key, kind);
    }
    let complete = format!("{docs}### `[water]`\n{}## Others\n{}", row("every", "duration"), row("no", "key"));
    assert_eq!(compare(&documented(&complete).unwrap(), &known), Ok(()));
    let missing = documented(&docs).unwrap();
    assert_eq!(compare(&missing, &known).unwrap_err(), "should be:\nwater.every | duration | none");
    let more = documented(&complete.replace("## Others", "### `[[gate]]`")).unwrap();
    assert_eq!(compare(&more, &known).unwrap_err(), "there are no such keys: [\"gate.no\"]");
    assert!(documented(&format!("{docs}{}", row("beds", "count"))).is_err());
    assert!(documented("### `[a]`\n| `b` | count | none | short |").is_err());
}

#[test]
fn blocks_are_those_of_one_language() {
    let docs = "```toml\na = 1\n```\n```json\n{}\n```\n```toml\nb = 2\n```\n";
    assert_eq!(blocks(docs, "toml").collect::<Vec<_>>(), ["a = 1\n", "b = 2\n"]);
}
