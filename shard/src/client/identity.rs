//! Who a connection is, and whether what it sends need be looked at for that.

use std::sync::Arc;

use acl::selector::Selector;
use acl::user::User;
use acl::users::Users;
use protocol::table::CommandId;

/// Whether a connection has said who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Login {
    /// It has to.
    Needed,
    /// It has not, and need not as long as the default user needs no password.
    Guest,
    /// It has, or the default user needed no password when it came.
    Done,
}

/// A connection's user.
pub struct Identity {
    user: Arc<User>,
    login: Login,
    /// It is logged in where it must be, and may do everything.
    is_free: bool,
    /// Its user may read all keys, if only by some commands.
    reads_all_keys: bool,
}

impl Identity {
    /// That of a new connection.
    pub fn new(users: &Users) -> Self {
        let default = users.default_user();
        let login = if default.is_open() {
            Login::Done
        } else {
            Login::Needed
        };
        Self::of(default.clone(), login)
    }

    fn of(user: Arc<User>, login: Login) -> Self {
        Self {
            is_free: login != Login::Needed && user.may_everything(),
            reads_all_keys: user.selectors.iter().any(Selector::reads_all_keys),
            user,
            login,
        }
    }

    /// It has shown that it is this user.
    pub fn log_in(&mut self, user: Arc<User>) {
        *self = Self::of(user, Login::Done);
    }

    /// Goes by what its user may now. False where there is no such user any more.
    pub fn renew(&mut self, users: &Users) -> bool {
        let Some(user) = users.get(&self.user.name) else {
            return false;
        };
        let is_open = users.default_user().is_open();
        let login = match self.login {
            Login::Done => Login::Done,
            Login::Needed | Login::Guest if is_open => Login::Guest,
            Login::Needed | Login::Guest => Login::Needed,
        };
        *self = Self::of(user.clone(), login);
        true
    }

    /// Whether nothing that it sends need be looked at for who it is.
    #[inline]
    pub fn is_free(&self) -> bool {
        self.is_free
    }

    /// Whether it may send commands other than those to log in.
    #[inline]
    pub fn is_authenticated(&self) -> bool {
        self.is_free || self.login != Login::Needed
    }

    /// Its user.
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// Its user, where that may not do everything.
    pub fn restricted_user(&self) -> Option<&Arc<User>> {
        (!self.user.may_everything()).then_some(&self.user)
    }

    /// Whether it may use a command so that this reads keys which its arguments do not name.
    #[inline]
    pub fn reads_all_keys(&self, command: CommandId) -> bool {
        self.is_free || (self.reads_all_keys && self.user.reads_all_keys(command))
    }
}

#[cfg(test)]
mod tests {
    use acl::selector::NewChannels;

    use super::*;

    fn changed(users: &Users, name: &str, rules: &str) -> Users {
        let mut users = users.clone();
        let rules = rules.split(' ').map(str::as_bytes);
        let changed = users.change(name.as_bytes(), rules, NewChannels::None);
        changed.expect("rules");
        users
    }

    #[test]
    fn guests_go_by_the_default_user() {
        let open = Users::default();
        let closed = changed(&open, "default", ">x");
        let early = Identity::new(&open);
        let mut late = Identity::new(&closed);
        assert!(early.is_free() && !late.is_authenticated());
        assert!(late.renew(&open) && late.is_free());
        assert!(late.renew(&closed) && !late.is_authenticated());
        let mut early = early;
        assert!(early.renew(&closed) && early.is_free());
    }

    #[test]
    fn rights_are_those_of_the_user() {
        let users = changed(&Users::default(), "u", "on nopass +get ~a");
        let mut identity = Identity::new(&users);
        identity.log_in(users.get(b"u").expect("a user").clone());
        assert!(!identity.is_free() && identity.is_authenticated());
        assert!(identity.renew(&changed(&users, "u", "+@all ~* &*")) && identity.is_free());
        assert!(!identity.renew(&Users::default()));
    }
}
