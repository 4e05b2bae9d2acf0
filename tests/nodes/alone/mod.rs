//! Scenarios that take away what all others need, and so run while no other one does.

mod outages;
mod quickstart;
mod reader;
mod readme;
mod release;
