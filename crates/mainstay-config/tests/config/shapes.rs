//! The shapes that serde knows: they are read, and what they cost the report is known.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use mainstay_config::Loader;
use serde::de::DeserializeOwned;

use crate::loader;

#[derive(Debug, serde::Deserialize)]
#[allow(dead_code, reason = "what matters is what is refused")]
struct All<T> {
    port: u16,
    name: String,
    shape: T,
}

impl<T> garde::Validate for All<T> {
    type Context = ();
    fn validate_into(&self, (): &(), _: &mut dyn FnMut() -> garde::Path, _: &mut garde::Report) {}
}

fn with(text: &'static str) -> Loader {
    loader().embedded(&[("default.toml", text), ("development.toml", "")])
}

fn shape<T: DeserializeOwned>(text: &'static str) -> Result<T, String> {
    with(text).load::<All<T>>().map(|loaded| loaded.settings.shape).map_err(|error| {
        let mut shown: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
        shown.extend(error.to_string().lines().filter(|line| line.starts_with("note:")).map(str::to_owned));
        shown.join("\n")
    })
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Flat {
    own: u8,
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Inner {
    size: u8,
    depth: u8,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Tagged {
    Disk { size: u8 },
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u8),
    Table { size: u8 },
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(try_from = "u8")]
struct Even(u8);

impl TryFrom<u8> for Even {
    type Error = &'static str;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        if number.is_multiple_of(2) && number > 100 {
            Ok(Self(number))
        } else {
            Err("not even, or not above a hundred")
        }
    }
}

#[test]
fn flattened_structs_are_read_and_the_neighbours_of_a_mistake_in_them_too() {
    let read = shape::<Flat>("port = 1\nname = ''\nshape = {own = 1, size = 2, depth = 3}").unwrap();
    assert_eq!(read, Flat { own: 1, inner: Inner { size: 2, depth: 3 } });
    insta::assert_snapshot!(shape::<Flat>("port = ''\nshape = {own = 'x', size = 'y', depth = 3}").unwrap_err(), @"
    MC005 port: expected u16, found text (built-in default.toml:1:8)
    MC005 shape.own: expected u8, found text (built-in default.toml:2:16)
    note: further checks of `shape` were skipped
    note: the rules of the settings were not checked, nor what is missing beside what was skipped
    ");
    insta::assert_snapshot!(shape::<Flat>("port = ''\nname = ''\n[shape]\nown = 1").unwrap_err(), @"
    MC005 port: expected u16, found text (built-in default.toml:1:8)
    MC007 shape.size: required, and no source sets it
    MC007 shape.depth: required, and no source sets it
    note: further checks of `shape.size` were skipped
    note: the rules of the settings were not checked, nor what is missing beside what was skipped
    ");
}

#[test]
fn tagged_and_untagged_enums_are_read_and_the_neighbours_of_a_mistake_in_them_too() {
    let tagged = "port = 1\nname = ''\nshape = {kind = 'disk', size = 2}";
    assert_eq!(shape::<Tagged>(tagged), Ok(Tagged::Disk { size: 2 }));
    assert_eq!(shape::<Either>("port = 1\nname = ''\nshape = 2"), Ok(Either::Number(2)));
    assert_eq!(shape::<Either>("port = 1\nname = ''\nshape.size = 2"), Ok(Either::Table { size: 2 }));
    insta::assert_snapshot!(shape::<Tagged>("port = ''\nshape = {kind = 'dsik', size = 2}").unwrap_err(), @"
    MC005 port: expected u16, found text (built-in default.toml:1:8)
    MC006 shape.kind: expected one of `disk`, found other text (built-in default.toml:2:17)
    MC007 name: required, and no source sets it
    ");
    // Which variant was meant is not known, so nothing in it is claimed to be missing.
    let guess = shape::<Tagged>("port = 1\nname = ''\nshape = {kind = 'dsik'}").unwrap_err();
    assert_eq!(
        guess,
        "MC006 shape.kind: expected one of `disk`, found other text (built-in default.toml:3:17)"
    );
    insta::assert_snapshot!(shape::<Tagged>("port = ''\n[shape]\nkind = 'disk'").unwrap_err(), @"
    MC005 port: expected u16, found text (built-in default.toml:1:8)
    MC007 shape.size: required, and no source sets it
    MC007 name: required, and no source sets it
    ");
    insta::assert_snapshot!(shape::<Either>("port = ''\nshape = 'x'").unwrap_err(), @"
    MC005 port: expected u16, found text (built-in default.toml:1:8)
    MC005 shape: data did not match any variant of untagged enum Either (built-in default.toml:2:9)
    MC007 name: required, and no source sets it
    ");
}

#[test]
fn a_type_that_no_stand_in_satisfies_hides_nothing_beside_it() {
    assert_eq!(shape::<Even>("port = 1\nname = ''\nshape = 102"), Ok(Even(102)));
    insta::assert_snapshot!(shape::<Even>("port = ''\nname = 3\nshape = 1").unwrap_err(), @"
    MC005 port: expected u16, found text (built-in default.toml:1:8)
    MC005 name: expected a string, found an integer (built-in default.toml:2:8)
    MC005 shape: not even, or not above a hundred (built-in default.toml:3:9)
    note: further checks of `shape` were skipped
    note: the rules of the settings were not checked, nor what is missing beside what was skipped
    ");
}

#[test]
fn lists_of_tables_and_maps_report_each_mistake() {
    insta::assert_snapshot!(
        shape::<Vec<Inner>>("port = 1\nname = ''\n[[shape]]\nsize = 1\n[[shape]]\nsize = 'x'\ndepth = 'y'")
            .unwrap_err(),
        @"
    MC005 shape[1].size: expected u8, found text (built-in default.toml:6:8)
    MC005 shape[1].depth: expected u8, found text (built-in default.toml:7:9)
    MC007 shape[0].depth: required, and no source sets it
    "
    );
    insta::assert_snapshot!(
        shape::<BTreeMap<String, Inner>>("port = 1\nname = ''\n[shape.a]\nsize = 1\n[shape.'b.c']\nsize = -1\ndepth = 1")
            .unwrap_err(),
        @"
    MC005 shape.b.c.size: expected u8, found an integer that is not one (built-in default.toml:6:8)
    MC007 shape.a.depth: required, and no source sets it
    "
    );
}

#[test]
fn an_optional_section_is_checked_when_it_is_there() {
    assert_eq!(shape::<Option<Inner>>("port = 1\nname = ''"), Ok(None));
    insta::assert_snapshot!(shape::<Option<Inner>>("port = 1\nname = ''\nshape.size = 'x'").unwrap_err(), @"
    MC005 shape.size: expected u8, found text (built-in default.toml:3:14)
    MC007 shape.depth: required, and no source sets it
    ");
}

#[test]
fn a_duration_is_read_as_humantime_writes_it() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Timed(#[serde(with = "humantime_serde")] Duration);
    assert_eq!(shape::<Timed>("port = 1\nname = ''\nshape = '1m 30s'"), Ok(Timed(Duration::from_secs(90))));
    insta::assert_snapshot!(shape::<Timed>("port = ''\nname = ''\nshape = 'soon'").unwrap_err(), @"
    MC005 port: expected u16, found text (built-in default.toml:1:8)
    MC005 shape: expected a duration, found text that is not one (built-in default.toml:3:9)
    ");
    insta::assert_snapshot!(shape::<Timed>("port = ''\nname = ''").unwrap_err(), @"
    MC005 port: expected u16, found text (built-in default.toml:1:8)
    MC007 shape: required, and no source sets it
    ");
}

#[test]
fn byte_sizes_and_big_integers_are_read_from_files_and_variables_alike() {
    let from_variable = |value: &'static str| {
        let given = [("ORDERS__SHAPE", value)];
        with("port = 1\nname = ''")
            .environment(given)
            .load::<All<ByteSize>>()
            .map(|loaded| loaded.settings.shape)
    };
    for (file, variable, size) in [
        ("'64 KiB'", "64 KiB", ByteSize::kib(64)),
        ("'1.5GB'", "1.5GB", ByteSize::mb(1_500)),
        ("512", "512", ByteSize(512)),
    ] {
        let text = format!("port = 1\nname = ''\nshape = {file}").leak();
        assert_eq!(shape::<ByteSize>(text), Ok(size));
        assert_eq!(from_variable(variable).unwrap(), size);
    }
    insta::assert_snapshot!(shape::<ByteSize>("port = ''\nname = ''\nshape = '64 lots'").unwrap_err(), @"
    MC005 port: expected u16, found text (built-in default.toml:1:8)
    MC005 shape: expected parsable string, found text that is not one (built-in default.toml:3:9)
    ");
    insta::assert_snapshot!(from_variable("lots").unwrap_err(), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC005 shape: expected parsable string, found text that is not one
        --> ORDERS__SHAPE

    read, lowest first: built-in default.toml, built-in development.toml, ORDERS__SHAPE
    ");

    let biggest = "port = 1\nname = ''\nshape = 18446744073709551615";
    assert_eq!(shape::<u64>(biggest), Ok(u64::MAX));
    assert_eq!(shape::<u128>(biggest), Ok(u128::from(u64::MAX)));
    assert_eq!(shape::<i128>("port = 1\nname = ''\nshape = -9223372036854775808"), Ok(i128::from(i64::MIN)));
    let given = [("ORDERS__SHAPE", "340282366920938463463374607431768211455")];
    let loaded = with("port = 1\nname = ''").environment(given).load::<All<u128>>();
    assert_eq!(loaded.unwrap().settings.shape, u128::MAX);
}

#[test]
fn missing_values_are_not_claimed_when_a_file_could_not_be_read() {
    let error = with("port = ").environment([("ORDERS__PORT", "x")]).load::<All<u8>>().unwrap_err();
    insta::assert_snapshot!(error, @"
    the configuration of orders is not valid: 2 problems (profile development, by default)

     1. MC002 string values must be quoted, expected literal string
        --> built-in default.toml:1:8
     2. MC005 port: expected u16, found text
        --> ORDERS__PORT

    note: missing values are not listed, as they may be in what could not be read: built-in default.toml

    read, lowest first: built-in development.toml, ORDERS__PORT
    ");
}
