//! Whole scripts, with a driver that knows a few commands. The expected replies are Redis 7.4's.

mod driver;
mod errors;
mod functions;
mod limits;
mod replies;
mod sandbox;
