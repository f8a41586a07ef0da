//! All users of a server, in the order of their names.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rule::RulesError;
use crate::selector::NewChannels;
use crate::user::{DEFAULT, User};

/// Every user, the default one among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Users {
    by_name: BTreeMap<Box<[u8]>, Arc<User>>,
}

impl Default for Users {
    fn default() -> Self {
        Self::new(NewChannels::default())
    }
}

impl Users {
    /// The default user alone, who may do everything.
    pub fn new(new_channels: NewChannels) -> Self {
        let mut users = Self {
            by_name: BTreeMap::new(),
        };
        users.put(User::default_user(new_channels));
        users
    }

    /// These, and the default user where it is none of them.
    pub fn of(users: impl Iterator<Item = User>, new_channels: NewChannels) -> Self {
        let mut all = Self::new(new_channels);
        users.for_each(|user| all.put(user));
        all
    }

    /// The user of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// The default user.
    pub fn default_user(&self) -> &Arc<User> {
        self.get(DEFAULT)
            .expect("it can be changed, but not removed")
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    /// Adds a user, or takes it in place of the one of its name.
    pub fn put(&mut self, user: User) {
        self.by_name.insert(user.name.clone(), Arc::new(user));
    }

    /// ACL SETUSER: changes a user, or makes one. On an error all is as it was.
    pub fn change<'a>(
        &mut self,
        name: &[u8],
        rules: impl Iterator<Item = &'a [u8]>,
        new_channels: NewChannels,
    ) -> Result<(), RulesError> {
        let changed = match self.get(name) {
            Some(user) => user.with(rules, new_channels)?,
            None => User::new(name, new_channels).with(rules, new_channels)?,
        };
        self.put(changed);
        Ok(())
    }

    /// Removes a user, not the default one. Returns whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        name != DEFAULT && self.by_name.remove(name).is_some()
    }

    /// The default user gets the password of `requirepass`, or none.
    pub fn set_default_password(&mut self, password: Option<&[u8]>) {
        let mut user = User::clone(self.default_user());
        user.set_password(password);
        self.put(user);
    }
}
