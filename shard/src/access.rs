//! Access control: the users that all shards share, and who was refused. How a change comes into
//! force is in `enforce`.

mod enforce;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acl::log::Log;
use acl::users::Users;

/// What all shards share.
pub struct AccessControl {
    users: Mutex<Arc<Users>>,
    log: Mutex<Log>,
    /// Held while a file with users is written: several shards may be asked to.
    file: Mutex<()>,
}

impl AccessControl {
    /// With the users of the start.
    pub fn new(users: Users) -> Self {
        Self {
            users: Mutex::new(Arc::new(users)),
            log: Mutex::default(),
            file: Mutex::default(),
        }
    }

    /// The users in force.
    pub fn users(&self) -> Arc<Users> {
        lock(&self.users).clone()
    }

    /// Changes the users, all of it or nothing. Shards do not go by it before they are visited.
    pub fn change<T, E>(&self, change: impl FnOnce(&mut Users) -> Result<T, E>) -> Result<T, E> {
        let mut current = lock(&self.users);
        let mut new = Users::clone(&current);
        let changed = change(&mut new)?;
        *current = Arc::new(new);
        Ok(changed)
    }

    /// Calls `save`, which writes a file, with the users in force, for one shard at a time: what is
    /// in the file at last is what was there last.
    pub fn save<T>(&self, save: impl FnOnce(&Users) -> T) -> T {
        let _one = lock(&self.file);
        save(&self.users())
    }

    /// Who was refused.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
