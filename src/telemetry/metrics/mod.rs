//! Metric families in OpenMetrics text; who counts decides what is counted.

mod gateway;
mod operator;
mod receive;
mod storage;
mod web;

pub use gateway::{AccessLabels, GatewayMetrics, ReviewLabels};
pub use operator::{CaptureLabels, ErrorLabel, KindLabel, OperatorMetrics};
pub use receive::{AnswerLabels, ReasonLabel, ReceiveMetrics};
pub use storage::{CauseLabel, StateLabel, StorageMetrics};
pub use web::{DownloadLabels, WebLabels, WebMetrics};
