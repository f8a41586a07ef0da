//! Modules: what a server answers that has none. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! module_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "module" => container {
        arity -2; flags []; acl []; keys [];
        group Server; since "4.0.0"; complexity "";
        syntax "";
        summary "Commands about modules, of which there are none.";
    }

    "module|help" => session(module::help) {
        arity 2; flags [LOADING STALE]; acl []; keys [];
        group Server; since "5.0.0"; complexity "O(1)";
        syntax "";
        summary "The sub-commands of MODULE.";
    }

    "module|list" => session(module::list) {
        arity 2; flags [ADMIN NOSCRIPT]; acl []; keys [];
        tips ["nondeterministic_output_order"];
        group Server; since "4.0.0"; complexity "O(N)";
        syntax "";
        summary "The modules that are loaded.";
    }

    "module|load" => session(module::not_allowed) {
        arity -3; flags [ADMIN NOSCRIPT NO_ASYNC_LOADING]; acl []; keys [];
        group Server; since "4.0.0"; complexity "O(1)";
        syntax "path:string [arg:string]...";
        summary "Loads a module.";
    }

    "module|loadex" => session(module::not_allowed) {
        arity -3; flags [ADMIN NOSCRIPT NO_ASYNC_LOADING]; acl []; keys [];
        group Server; since "7.0.0"; complexity "O(1)";
        syntax "path:string [CONFIG name value]... [ARGS args:string]...";
        summary "Loads a module with parameters.";
    }

    "module|unload" => session(module::not_allowed) {
        arity 3; flags [ADMIN NOSCRIPT NO_ASYNC_LOADING]; acl []; keys [];
        group Server; since "4.0.0"; complexity "O(1)";
        syntax "name:string";
        summary "Unloads a module.";
    }
} } }
