//! The libraries of functions that a process has, for all its shards.
//!
//! [`Libraries`] is a value: all of them at one moment. A change makes another one and puts it in
//! the place of the last, whole or not at all. Who calls functions keeps the value that it last saw
//! and a number ([`Seen`]): as long as that is the store's, a call asks nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::library::Library;
use crate::load::name_of;
use crate::machine::Machine;

/// Bytes that a library, and a function, take besides their text, about.
const LIBRARY_OVERHEAD_BYTES: usize = 200;
const FUNCTION_OVERHEAD_BYTES: usize = 120;

/// Libraries that were ever loaded by this process, or tried.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// All libraries at one moment. Errors are without a code, as Redis words them.
#[derive(Clone, Default, Debug)]
pub struct Libraries {
    by_name: BTreeMap<Vec<u8>, Arc<Library>>,
    by_function: HashMap<Vec<u8>, Arc<Library>>,
}

impl Libraries {
    /// The library that has a function.
    pub fn function(&self, name: &[u8]) -> Option<&Arc<Library>> {
        self.by_function.get(name)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    /// How many functions they have.
    pub fn function_count(&self) -> usize {
        self.by_function.len()
    }

    /// Bytes that they take, about.
    pub fn memory_bytes(&self) -> usize {
        let of_library = |library: &Arc<Library>| {
            let functions = library.functions.iter();
            let functions = functions.map(|it| it.name.len() + FUNCTION_OVERHEAD_BYTES);
            library.code.len() + LIBRARY_OVERHEAD_BYTES + functions.sum::<usize>()
        };
        self.iter().map(of_library).sum()
    }

    /// Loads a library and adds it; with `replaces` in the place of one of its name. Returns its
    /// name.
    ///
    /// # Errors
    /// Where its first line or its code is wrong, or it has the name of another, or a function of
    /// another. The error is without a code.
    pub fn load(
        &mut self,
        machine: &mut Machine,
        code: &[u8],
        replaces: bool,
    ) -> Result<Vec<u8>, Vec<u8>> {
        let name = name_of(code)?;
        if !replaces && self.by_name.contains_key(&name) {
            return Err([b"Library '", &name[..], b"' already exists"].concat());
        }
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1;
        let library = machine.load_library(code, generation);
        let library = library.map_err(|error| match error.strip_prefix(b"ERR ") {
            Some(text) => text.to_vec(),
            None => error,
        })?;
        let old = self.remove(&name);
        if let Some(function) = self.first_shared(&library) {
            let error = already_exists(b"Function", function);
            old.into_iter().for_each(|old| self.put(old));
            return Err(error);
        }
        self.put(library);
        Ok(name)
    }

    /// Adds others; with `replaces` each in the place of one of its name.
    ///
    /// # Errors
    /// Where one has the name of another that it may not replace, or a function of another. What is
    /// here then is not to be used.
    pub fn join(&mut self, others: &Libraries, replaces: bool) -> Result<(), Vec<u8>> {
        for library in others.iter() {
            let old = self.remove(&library.name);
            if old.is_some() && !replaces {
                return Err(already_exists(b"Library", &library.name));
            }
        }
        for library in others.iter() {
            if let Some(function) = self.first_shared(library) {
                return Err(already_exists(b"Function", function));
            }
        }
        others.iter().for_each(|library| self.put(library.clone()));
        Ok(())
    }

    /// Removes the library of this name. Returns it, if there was one.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Library>> {
        let library = self.by_name.remove(name)?;
        for function in &library.functions {
            self.by_function.remove(&function.name);
        }
        Some(library)
    }

    /// The first function of a library that another has.
    fn first_shared<'a>(&self, library: &'a Library) -> Option<&'a [u8]> {
        let mut names = library.functions.iter().map(|function| &function.name);
        let shared = names.find(|name| self.by_function.contains_key(*name));
        shared.map(Vec::as_slice)
    }

    fn put(&mut self, library: Arc<Library>) {
        for function in &library.functions {
            self.by_function
                .insert(function.name.clone(), library.clone());
        }
        self.by_name.insert(library.name.clone(), library);
    }
}

fn already_exists(what: &[u8], name: &[u8]) -> Vec<u8> {
    [what, b" ", name, b" already exists"].concat()
}

/// The libraries that are in force, and when they changed.
#[derive(Default, Debug)]
pub struct LibraryStore {
    current: Mutex<Arc<Libraries>>,
    /// How often they changed.
    changes: AtomicU64,
}

impl LibraryStore {
    fn lock(&self) -> MutexGuard<'_, Arc<Libraries>> {
        // Nothing is left half way where somebody panics.
        self.current.lock().unwrap_or_else(|it| it.into_inner())
    }

    /// Those in force.
    pub fn current(&self) -> Arc<Libraries> {
        self.lock().clone()
    }

    /// Puts others in their place.
    pub fn set(&self, libraries: Libraries) {
        let mut current = self.lock();
        *current = Arc::new(libraries);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Changes them, unless that fails: then all stays as it was. `how` may take long, as it runs
    /// libraries' code: nobody waits for it. It is called again where another change was faster.
    pub fn change<T, E>(
        &self,
        mut how: impl FnMut(&mut Libraries) -> Result<T, E>,
    ) -> Result<T, E> {
        loop {
            let before = self.current();
            let mut next = Libraries::clone(&before);
            let outcome = how(&mut next)?;
            let mut current = self.lock();
            if Arc::ptr_eq(&before, &current) {
                *current = Arc::new(next);
                self.changes.fetch_add(1, Ordering::Release);
                return Ok(outcome);
            }
        }
    }
}

/// The libraries as one shard last saw them.
#[derive(Default, Debug)]
pub struct Seen {
    libraries: Arc<Libraries>,
    changes: u64,
}

impl Seen {
    /// Those in force.
    #[inline]
    pub fn current(&mut self, store: &LibraryStore) -> &Arc<Libraries> {
        if store.changes.load(Ordering::Acquire) != self.changes {
            let current = store.lock();
            self.libraries = current.clone();
            self.changes = store.changes.load(Ordering::Acquire);
        }
        &self.libraries
    }
}
