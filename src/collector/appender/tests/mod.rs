//! The appender on a volume that fails and forgets, and under a clock that jumps.

mod faults;
mod life;
mod volume;
