//! A walk over a list, from an element towards an end.

use super::{NodeIndex, Quicklist};
use crate::item::Item;
use crate::listpack::{self, End};

/// Elements of a list, from one of them towards an end.
#[derive(Clone)]
pub struct Elements<'a> {
    pub(super) pack: listpack::Iter<'a>,
    pub(super) from: End,
    /// The list and the node that `pack` walks, where more nodes may follow.
    pub(super) rest: Option<(&'a Quicklist, NodeIndex)>,
}

impl<'a> Elements<'a> {
    /// Those of one pack.
    pub(crate) fn of_pack(pack: listpack::Iter<'a>, from: End) -> Self {
        Self {
            pack,
            from,
            rest: None,
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            let item = match self.from {
                End::Front => self.pack.next(),
                End::Back => self.pack.next_back(),
            };
            if item.is_some() {
                return item;
            }
            let (list, place) = self.rest?;
            let next = match self.from {
                End::Front => list.after(place),
                End::Back => list.before(place),
            };
            self.rest = next.map(|place| (list, place));
            self.pack = list.node(next?)?.pack.iter();
        }
    }
}
