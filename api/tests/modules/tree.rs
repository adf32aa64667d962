//! The modules of one crate, and which of them each one uses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// A module by its path below the crate's root, such as `fetch::run`; the root is empty.
pub(crate) type Name = Vec<String>;

/// How often a name may be re-exported on the way to its definition.
const MOST_HOPS: usize = 16;

/// The modules of a crate that are not tests, and the names that each defines, imports and uses.
pub(crate) struct Tree {
    modules: BTreeMap<Name, Module>,
}

#[derive(Default)]
struct Module {
    /// By the name it has here: what `use` brings in.
    imports: BTreeMap<String, Name>,
    /// What `use path::*` opens.
    globs: Vec<Name>,
    /// Paths in code, as they are written.
    paths: Vec<Name>,
    /// Names of types, functions, constants and macros.
    items: BTreeSet<String>,
    /// Names of structs, enums, traits and aliases.
    types: Vec<String>,
}

impl Tree {
    /// Reads a crate from its root file.
    pub(crate) fn read(root: &Path) -> Self {
        let mut tree = Self {
            modules: BTreeMap::new(),
        };
        let folder = root.parent().expect("a folder").to_owned();
        tree.read_file(root, &folder, Vec::new());
        tree
    }

    fn read_file(&mut self, file: &Path, children: &Path, name: Name) {
        let source =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.read_items(&parsed.items, children, name);
    }

    fn read_items(&mut self, items: &[syn::Item], children: &Path, name: Name) {
        let mut module = Module::default();
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                syn::Item::Mod(child) => self.read_child(child, children, &name),
                syn::Item::Use(item) => module.import(&item.tree, &mut Vec::new()),
                other => module.visit_item(other),
            }
            module.items.extend(name_of(item));
            module.types.extend(name_of(item).filter(|_| is_type(item)));
        }
        self.modules.insert(name, module);
    }

    fn read_child(&mut self, child: &syn::ItemMod, children: &Path, parent: &Name) {
        let own = child.ident.to_string();
        let name: Name = parent.iter().cloned().chain([own.clone()]).collect();
        let below = children.join(&own);
        if let Some((_, items)) = &child.content {
            self.read_items(items, &below, name);
            return;
        }
        let beside = children.join(format!("{own}.rs"));
        let file: PathBuf = if beside.exists() {
            beside
        } else {
            below.join("mod.rs")
        };
        self.read_file(&file, &below, name);
    }

    /// Each type name, and the modules that define a type of this name.
    pub(crate) fn types(&self) -> BTreeMap<&str, Vec<&Name>> {
        let mut types: BTreeMap<&str, Vec<&Name>> = BTreeMap::new();
        for (name, module) in &self.modules {
            for own in &module.types {
                types.entry(own).or_default().push(name);
            }
        }
        types
    }

    /// Each module, and those whose definitions it uses.
    pub(crate) fn arrows(&self) -> BTreeMap<Name, BTreeSet<Name>> {
        let arrows = self.modules.iter().map(|(name, module)| {
            let written = module.paths.iter().chain(module.imports.values());
            let used = written
                .filter_map(|path| self.definition(name, path, MOST_HOPS))
                .chain(module.globs.iter().filter_map(|path| self.module_at(name, path)))
                .filter(|used| used != name);
            (name.clone(), used.collect())
        });
        arrows.collect()
    }

    /// The module that defines what `path` names in `from`; none if it is another crate's.
    fn definition(&self, from: &Name, path: &[String], hops: usize) -> Option<Name> {
        let (mut at, mut rest) = self.start(from, path, hops)?;
        while let Some((next, after)) = rest.split_first() {
            let child: Name = at.iter().cloned().chain([next.clone()]).collect();
            if self.modules.contains_key(&child) {
                (at, rest) = (child, after);
                continue;
            }
            return self.named_in(&at, next, hops);
        }
        Some(at)
    }

    /// Where a path begins, and what is left of it to follow.
    fn start<'a>(&self, from: &Name, path: &'a [String], hops: usize) -> Option<(Name, &'a [String])> {
        if let Some(start) = written_start(from, path) {
            return Some(start);
        }
        let (first, rest) = path.split_first()?;
        let child: Name = from.iter().chain([first]).cloned().collect();
        if self.modules.contains_key(&child) {
            return Some((child, rest));
        }
        let import = self.modules[from].imports.get(first)?;
        let hops = hops.checked_sub(1)?;
        match self.module_at(from, import) {
            Some(module) => Some((module, rest)),
            // An import of an item: what follows it belongs to the item.
            None => self.definition(from, import, hops).map(|found| (found, &[][..])),
        }
    }

    /// The module that defines `name`, which is asked for in module `at`.
    fn named_in(&self, at: &Name, name: &str, hops: usize) -> Option<Name> {
        let module = &self.modules[at];
        if module.items.contains(name) {
            return Some(at.clone());
        }
        let hops = hops.checked_sub(1)?;
        if let Some(import) = module.imports.get(name) {
            return self.definition(at, import, hops);
        }
        let opened = module.globs.iter().filter_map(|glob| self.module_at(at, glob));
        let mut found = opened
            .filter(|opened| opened != at)
            .filter_map(|opened| self.named_in(&opened, name, hops));
        found.next()
    }

    fn module_at(&self, from: &Name, path: &[String]) -> Option<Name> {
        let (mut at, rest) = written_start(from, path).unwrap_or_else(|| (from.clone(), path));
        at.extend(rest.iter().cloned());
        self.modules.contains_key(&at).then_some(at)
    }
}

/// Where a path that begins with `crate`, `self` or `super` begins.
fn written_start<'a>(from: &Name, path: &'a [String]) -> Option<(Name, &'a [String])> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some((Vec::new(), rest)),
        "self" => Some((from.clone(), rest)),
        "super" => {
            let parent = from.split_last()?.1.to_vec();
            written_start(&parent, rest).or(Some((parent, rest)))
        }
        _ => None,
    }
}

impl Module {
    fn import(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Name(name) => self.bind(&name.ident, &name.ident, before),
            syn::UseTree::Rename(name) => self.bind(&name.rename, &name.ident, before),
            syn::UseTree::Glob(_) => self.globs.push(before.clone()),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before);
                }
            }
        }
    }

    fn bind(&mut self, here: &syn::Ident, there: &syn::Ident, before: &[String]) {
        let mut path = before.to_vec();
        // `use module::{self}` binds the module under its own name.
        let bound = if there == "self" {
            before.last().cloned().unwrap_or_default()
        } else {
            path.push(there.to_string());
            here.to_string()
        };
        // `use x as _` names nothing, and still uses `x`.
        if bound == "_" {
            self.paths.push(path);
        } else {
            self.imports.insert(bound, path);
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths
            .push(path.segments.iter().map(|part| part.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.paths.extend(paths_in(&call.tokens.to_string()));
        syn::visit::visit_macro(self, call);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &mut Vec::new());
    }
}

/// The paths with `::` in the tokens of a macro's call.
fn paths_in(tokens: &str) -> impl Iterator<Item = Name> {
    let joined = tokens.replace(" :: ", "::");
    let words: Vec<Name> = joined
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':')
        .filter(|word| word.contains("::"))
        .map(|word| {
            word.split("::")
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        })
        .collect();
    words.into_iter()
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let conditions = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"));
    let mut texts = conditions.filter_map(|attribute| attribute.meta.require_list().ok());
    texts.any(|list| {
        list.tokens
            .to_string()
            .split(|letter: char| !letter.is_alphanumeric())
            .any(|word| word == "test")
    })
}

fn is_type(item: &syn::Item) -> bool {
    matches!(
        item,
        syn::Item::Enum(_) | syn::Item::Struct(_) | syn::Item::Trait(_) | syn::Item::Type(_)
    )
}

fn name_of(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}
