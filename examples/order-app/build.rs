//! Rebuilds the crate when a migration is added: `migrate!` notices changed files, but not new ones.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
