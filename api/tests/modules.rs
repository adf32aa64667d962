//! Modules form no circles, in any crate and at any level; only a parent and its own child may use each other.
//!
//! The sources are parsed, and each name is followed through `use` and `pub use` to the file that defines it, so that a
//! re-export hides no arrow. Test modules are left out.

mod modules {
    pub(super) mod circles;
    pub(super) mod floors;
    pub(super) mod tree;
}

use std::path::Path;

use cargo_metadata::MetadataCommand;
use modules::circles::circles;
use modules::floors;
use modules::tree::Tree;

/// The root files of our crates, by crate.
fn roots() -> Vec<(String, std::path::PathBuf)> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(vec!["--locked".to_owned()])
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let targets = metadata.workspace_packages().into_iter().flat_map(|package| {
        let shipped = package.targets.iter().filter(|target| {
            target
                .kind
                .iter()
                .any(|kind| matches!(kind.to_string().as_str(), "lib" | "bin"))
        });
        shipped.map(|target| (target.name.clone(), target.src_path.clone().into_std_path_buf()))
    });
    targets.collect()
}

#[test]
fn modules_form_no_circles() {
    let roots = roots();
    assert!(roots.len() > 10, "{roots:?}");
    let found: Vec<String> = roots
        .iter()
        .flat_map(|(name, root)| {
            let tree = Tree::read(root);
            circles(&tree)
                .into_iter()
                .map(move |circle| format!("{name}: {circle}"))
        })
        .collect();
    assert!(found.is_empty(), "{} circles:\n{}", found.len(), found.join("\n"));
}

#[test]
fn arrows_point_down_in_the_floors_that_the_architecture_page_draws() {
    let page = std::fs::read_to_string(from_root("ARCHITECTURE.md")).expect("the page");
    for (name, root) in roots()
        .into_iter()
        .filter(|(name, _)| matches!(name.as_str(), "peer" | "preheat"))
    {
        let drawn = floors::drawn(&page, &name);
        let faults = floors::faults(&Tree::read(&root), &drawn);
        assert!(faults.is_empty(), "{name}:\n{}", faults.join("\n"));
    }
}

#[test]
fn an_arrow_that_points_up_is_a_fault_and_so_is_a_module_that_is_not_drawn() {
    let tree = Tree::read(&fixture("folders/lib.rs"));
    let drawn = floors::drawn(
        "<!-- floors of x -->\n| | |\n|---|---|\n| `ask`, `gone` | |\n",
        "x",
    );
    assert_eq!(
        floors::faults(&tree, &drawn),
        [
            "tell is not drawn",
            "gone is drawn and does not exist",
            "ask uses tell, which stands beside or above it",
        ]
    );
}

/// Names that sea-orm demands in the module of each entity and of each migration.
const DEMANDED_BY_SEA_ORM: [&str; 5] = ["ActiveModel", "Entity", "Migration", "Model", "Relation"];

#[test]
fn no_crate_gives_two_types_the_same_name() {
    let doubled: Vec<String> = roots()
        .iter()
        .flat_map(|(crate_name, root)| {
            let tree = Tree::read(root);
            let types = tree.types().into_iter();
            let doubled = types.filter(|(name, at)| at.len() > 1 && !DEMANDED_BY_SEA_ORM.contains(name));
            let texts = doubled.map(|(name, at)| {
                let at: Vec<String> = at.iter().map(|at| at.join("::")).collect();
                format!("{crate_name}: {name} in {}", at.join(", "))
            });
            texts.collect::<Vec<_>>()
        })
        .collect();
    assert!(
        doubled.is_empty(),
        "{} names:\n{}",
        doubled.len(),
        doubled.join("\n")
    );
}

#[test]
fn a_circle_behind_a_re_export_is_found() {
    let tree = Tree::read(&fixture("hidden/lib.rs"));
    let circles = circles(&tree);
    assert_eq!(circles.len(), 1, "{circles:?}");
    let named: Vec<String> = circles[0].siblings().collect();
    assert_eq!(named, ["layers", "sums"]);
}

#[test]
fn folders_that_use_each_other_form_a_circle_whichever_files_tie_them() {
    let circles = circles(&Tree::read(&fixture("folders/lib.rs")));
    assert_eq!(circles.len(), 1, "{circles:?}");
    let named: Vec<String> = circles[0].siblings().collect();
    assert_eq!(named, ["ask", "tell"]);
}

#[test]
fn a_parent_and_its_child_may_use_each_other() {
    assert!(circles(&Tree::read(&fixture("family/lib.rs"))).is_empty());
}

fn from_root(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/modules")
        .join(name)
}

#[test]
fn every_file_that_the_architecture_page_names_exists() {
    let page = std::fs::read_to_string(from_root("ARCHITECTURE.md")).expect("the page");
    let (_, table) = page.split_once("## Where is ...?").expect("the table");
    let rows = table
        .trim_start()
        .lines()
        .take_while(|line| line.starts_with('|'));
    let named: Vec<&str> = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|word| word.contains('/'))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let gone: Vec<_> = named.iter().filter(|file| !from_root(file).exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
}
