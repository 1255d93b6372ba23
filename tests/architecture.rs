//! The architecture, held: who may depend on whom, what every crate and file must have.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// The crates of the family that stand beside each other: none knows another, all may know the core.
const SIBLINGS: [&str; 5] =
    ["mainstay-config", "mainstay-http", "mainstay-resilience", "mainstay-runtime", "mainstay-telemetry"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// What cargo knows of the workspace and of everything that was downloaded to build it on this platform.
fn metadata() -> Metadata {
    let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let options = ["--offline".to_owned(), format!("--filter-platform={host}")];
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).other_options(options).exec().unwrap()
}

fn package<'a>(metadata: &'a Metadata, name: &str) -> &'a Package {
    metadata.workspace_packages().into_iter().find(|package| package.name == name).unwrap()
}

/// What a package needs to be built, apart from its tests.
fn needs(package: &Package) -> BTreeSet<&str> {
    let built =
        package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    built.map(|dependency| dependency.name.as_str()).collect()
}

fn lies_in(package: &Package, folder: &str) -> bool {
    package.manifest_path.starts_with(root().join(folder).to_str().unwrap())
}

/// Every file of ours with this ending, apart from what is built.
fn files(ending: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(entry.path());
                }
            } else if name.ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn the_core_knows_no_protocol_no_runtime_and_no_other_crate_of_ours() {
    let metadata = metadata();
    let needs = needs(package(&metadata, "mainstay-core"));
    assert_eq!(
        needs,
        BTreeSet::from(["pin-project-lite", "uuid"]),
        "a new dependency of the core is a decision: ARCHITECTURE.md, invariant 1"
    );
}

#[test]
fn siblings_know_the_core_and_not_each_other() {
    let metadata = metadata();
    for name in SIBLINGS {
        let ours: Vec<_> =
            needs(package(&metadata, name)).into_iter().filter(|name| name.starts_with("mainstay")).collect();
        assert!(ours.iter().all(|name| *name == "mainstay-core"), "{name} knows {ours:?}");
    }
}

#[test]
fn no_library_needs_a_framework_or_the_facade() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        if !lies_in(package, "crates") {
            continue;
        }
        for dependency in &package.dependencies {
            if dependency.kind == DependencyKind::Development {
                continue;
            }
            let name = dependency.name.as_str();
            assert!(
                !matches!(name, "tonic" | "mainstay" | "mainstay-testkit"),
                "{} needs {name}",
                package.name
            );
            // One extractor and one connection there; the facade, which composes, also has axum's router.
            let may_use_axum =
                matches!(package.name.as_str(), "mainstay-http" | "mainstay") && dependency.optional;
            assert!(name != "axum" || may_use_axum, "{} needs axum", package.name);
        }
    }
}

#[test]
fn examples_stand_on_the_facade_alone() {
    let metadata = metadata();
    let libraries: HashSet<&str> = metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| lies_in(package, "crates"))
        .map(|package| package.name.as_str())
        .collect();
    for package in metadata.workspace_packages() {
        if !lies_in(package, "examples") {
            continue;
        }
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let allowed = !libraries.contains(name) || name == "mainstay" || name == "mainstay-testkit";
            assert!(allowed, "{} depends on {name}", package.name);
            let only_tests = name != "mainstay-testkit" || dependency.kind == DependencyKind::Development;
            assert!(only_tests, "{} needs the testkit outside its tests", package.name);
        }
    }
}

#[test]
fn the_stated_rust_version_is_enough_for_every_library_and_what_it_needs() {
    let metadata = metadata();
    let packages: HashMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let nodes: HashMap<_, _> =
        metadata.resolve.as_ref().unwrap().nodes.iter().map(|node| (&node.id, node)).collect();
    for library in metadata.workspace_packages() {
        if !lies_in(library, "crates") {
            continue;
        }
        let stated = library.rust_version.clone().expect("every crate states its rust-version");
        let (mut seen, mut next) = (HashSet::new(), vec![&library.id]);
        while let Some(id) = next.pop() {
            if !seen.insert(id) {
                continue;
            }
            let needed = packages[id].rust_version.clone();
            assert!(
                needed.as_ref().is_none_or(|needed| *needed <= stated),
                "{} states Rust {stated}, but {} needs {}",
                library.name,
                packages[id].name,
                needed.unwrap()
            );
            let built = nodes[id].deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
            });
            next.extend(built.map(|dependency| &dependency.pkg));
        }
    }
}

#[test]
fn the_configuration_without_its_features_builds_no_more_packages_than_it_says() {
    let arguments = ["tree", "--offline", "-p", "mainstay-config", "--no-default-features"];
    let shape = ["-e", "normal,build", "--prefix", "none", "--no-dedupe", "--format", "{p}"];
    let tree = Command::new(env!("CARGO")).current_dir(root()).args(arguments).args(shape).output().unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    // Name and version; a procedural macro has a third word.
    let package = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let others: BTreeSet<String> =
        tree.lines().map(package).filter(|package| !package.starts_with("mainstay-config ")).collect();
    let page = fs::read_to_string(root().join("crates/mainstay-config/src/lib.rs")).unwrap();
    let said = format!("builds {} other packages", others.len());
    assert!(page.contains(&said), "the crate {said}, and its page says something else: {others:?}");
}

#[test]
fn every_crate_obeys_the_workspaces_lints_and_names_its_license() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has lints of its own", package.name);
        assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"), "{}", package.name);
        let own_versions: Vec<_> = manifest
            .lines()
            .filter(|line| line.contains(" version = \"") || line.ends_with(" = \"*\""))
            .collect();
        assert!(own_versions.is_empty(), "{} states versions itself: {own_versions:?}", package.name);
    }
}

#[test]
fn every_file_says_what_it_is_and_no_folder_hides_a_module_in_mod_rs() {
    for file in files(".rs") {
        assert_ne!(file.file_name().unwrap(), "mod.rs", "{}", file.display());
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with a sentence on what it is", file.display());
    }
}

#[test]
fn every_layer_has_its_line_in_the_matrix() {
    let matrix = fs::read_to_string(root().join("tests/matrix.rs")).unwrap();
    let edge = root().join("crates/mainstay-http/src");
    let of_clients = [edge.join("body_timeout"), edge.join("call_log"), edge.join("outbound")];
    let sources = files(".rs").into_iter().filter(|file| {
        file.starts_with(&edge)
            && !of_clients.iter().any(|folder| file.with_extension("").starts_with(folder))
    });
    let mut layers = 0;
    for source in sources.map(|file| fs::read_to_string(file).unwrap()) {
        let structs = source.lines().filter_map(|line| line.strip_prefix("pub struct "));
        let names = structs.map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap());
        for layer in names.filter(|name| name.ends_with("Layer")) {
            layers += 1;
            assert!(matrix.contains(&format!(": {layer}::")), "{layer} has no line in tests/matrix.rs");
        }
    }
    assert!(layers >= 7, "only {layers} layers were found");
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let sources: Vec<String> = files(".rs").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let mut number = 0;
    for line in text.lines().filter(|line| line.starts_with("**I")) {
        number += 1;
        assert!(line.starts_with(&format!("**I{number}.")), "expected invariant {number}: {line}");
        let paragraph = text.split_once(line).unwrap().1.split("\n\n").next().unwrap();
        let held = format!("{line}{paragraph}");
        let (_, tests) = held.split_once("Held by").unwrap_or_else(|| panic!("I{number} names no test"));
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "I{number} names no test");
        for name in names {
            let exists = sources.iter().any(|source| source.contains(&format!("fn {name}(")));
            assert!(exists, "I{number} names `{name}`, and no such test exists");
        }
    }
    assert!(number >= 10, "only {number} invariants were found");
}

#[test]
fn the_readme_has_two_commands_and_ci_runs_its_test_command() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands: Vec<&str> = readme.lines().filter(|line| line.starts_with("cargo ")).collect();
    assert_eq!(commands, ["cargo run -p order-app", "cargo test --workspace"]);
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(
        ci.contains("grep -x 'cargo test .*' README.md"),
        ".ci/run must take the test command from the README"
    );
}
