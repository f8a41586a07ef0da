//! Scripts and functions, as far as they are about keys. How a script runs is `lua`'s; what it does
//! to data is `steps::script`.

pub mod kind;
pub mod known;
pub mod outline;
pub mod outline_library;
pub mod run;
pub mod scripting;
pub mod tokens;
pub mod told;
pub mod undo;
pub mod undo_step;
