//! What commands do when nothing else happens meanwhile: the handlers of the model, and the specification that histories are held against.
//!
//! Every key holds a list of elements; none is the same as no key. An element is written by one operation only, so whoever sees it knows
//! by whom.

use std::collections::BTreeMap;

use stateright::semantics::SequentialSpec;

/// A key's number; who owns it is the scenario's to say.
pub type Key = usize;
/// What lists are made of.
pub type Element = u8;

/// A command, as a client calls it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Call {
    /// MSET: each key holds just this element.
    Write(Vec<Key>, Element),
    /// MGET.
    Read(Vec<Key>),
    /// What reads the whole keyspace, and so locks whole shards.
    ReadAll,
    /// RPUSH.
    Push(Key, Element),
    /// LMOVE from the left of the first to the right of the second.
    Move(Key, Key),
    /// WATCH and GET, by this client.
    Watch(usize, Key),
    /// EXEC by this client, which watches the key and writes an element to the others where that has not changed.
    Exec(usize, Key, Vec<Key>, Element),
    /// BLPOP: the first of these keys that has elements.
    Pop(Vec<Key>),
}

impl Call {
    /// The keys it names, in its order, of `keys` that there are.
    pub fn keys(&self, keys: usize) -> Vec<Key> {
        match self {
            Self::Write(keys, _) | Self::Read(keys) | Self::Pop(keys) => keys.clone(),
            Self::ReadAll => (0..keys).collect(),
            Self::Push(key, _) | Self::Watch(_, key) => vec![*key],
            Self::Exec(_, watched, keys, _) => [&keys[..], &[*watched]].concat(),
            Self::Move(from, to) => vec![*from, *to],
        }
    }
}

/// What a client is answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    Done,
    /// A watched key had changed.
    Stopped,
    Seen(Vec<Vec<Element>>),
    Moved(Option<Element>),
    /// Nothing where a pop waited in vain.
    Popped(Option<(Key, Element)>),
}

/// The elements of every key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Keyspace {
    lists: Vec<Vec<Element>>,
    /// What clients saw of the keys that they watch. Only the specification knows; in the model see [`crate::state::Client::watched`].
    watched: BTreeMap<usize, Vec<Element>>,
}

impl Keyspace {
    pub fn new(keys: usize) -> Self {
        Self {
            lists: vec![Vec::new(); keys],
            watched: BTreeMap::new(),
        }
    }

    pub fn get(&self, key: Key) -> &[Element] {
        &self.lists[key]
    }

    /// Takes a key's elements out.
    pub fn take(&mut self, key: Key) -> Vec<Element> {
        std::mem::take(&mut self.lists[key])
    }

    /// Puts a key's elements in its place, which is empty.
    pub fn put(&mut self, key: Key, list: Vec<Element>) {
        self.lists[key] = list;
    }

    /// Every element, as often as it is there.
    pub fn elements(&self) -> impl Iterator<Item = Element> {
        self.lists.iter().flatten().copied()
    }

    /// Runs a command. A pop that finds nothing changes nothing and says so.
    pub fn run(&mut self, call: &Call) -> Reply {
        match call {
            Call::Write(keys, element) => {
                for key in keys {
                    self.lists[*key] = vec![*element];
                }
                Reply::Done
            }
            Call::Read(keys) => {
                Reply::Seen(keys.iter().map(|key| self.lists[*key].clone()).collect())
            }
            Call::ReadAll => Reply::Seen(self.lists.clone()),
            Call::Push(key, element) => {
                self.lists[*key].push(*element);
                Reply::Done
            }
            Call::Move(from, to) => {
                if self.lists[*from].is_empty() {
                    Reply::Moved(None)
                } else {
                    let element = self.lists[*from].remove(0);
                    self.lists[*to].push(element);
                    Reply::Moved(Some(element))
                }
            }
            Call::Watch(client, key) => {
                self.watched.insert(*client, self.lists[*key].clone());
                Reply::Seen(vec![self.lists[*key].clone()])
            }
            // No element is written twice, so what looks the same has not changed.
            Call::Exec(client, watched, keys, element) => {
                if self.watched.remove(client).as_ref() == Some(&self.lists[*watched]) {
                    self.run(&Call::Write(keys.clone(), *element))
                } else {
                    Reply::Stopped
                }
            }
            Call::Pop(keys) => {
                let full = keys.iter().find(|key| !self.lists[**key].is_empty());
                Reply::Popped(full.map(|key| (*key, self.lists[*key].remove(0))))
            }
        }
    }
}

impl SequentialSpec for Keyspace {
    type Op = Call;
    type Ret = Reply;

    fn invoke(&mut self, call: &Call) -> Reply {
        self.run(call)
    }
}
