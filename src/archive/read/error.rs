//! Why a path cannot be read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::archive::trailer::TrailerError;

/// Why a path could not be read; what was read before was handed out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such file. Another path may help.
    #[error("cannot find `{}`", .0.display())]
    Missing(PathBuf),
    /// The directory holds nothing that this program reads. Another path may help.
    #[error("`{}` holds no chunks, bundles or JSON lines", .0.display())]
    Nothing(PathBuf),
    /// The operating system refused. Whether a retry helps is in the source.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// What was to be opened.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The disk or pipe failed. Whether a retry helps is in the source.
    #[error("cannot read `{name}`")]
    Read {
        /// What was read.
        name: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The content is none that this program reads.
    #[error(
        "`{0}` is neither a tar nor JSON lines, plain or compressed with zstd or gzip, nor what the Collector's file exporter writes"
    )]
    Unrecognised(String),
    /// A whole tar was compressed.
    #[error(
        "`{0}` is a compressed tar: decompress it first, as in `zstd -dc FILE | tracecapture cat -` or with `gzip -dc`"
    )]
    CompressedTar(String),
    /// The data was written by a later version. A newer program helps.
    #[error("cannot read `{name}`: {what}")]
    Newer {
        /// What was read.
        name: String,
        /// Which part is of which version.
        what: String,
    },
    /// The file asks for more than a limit allows. Raise the limit if the file can be trusted.
    #[error("`{name}` has {what}; {flag} raises the limit")]
    Limit {
        /// What was read.
        name: String,
        /// What goes beyond which limit.
        what: String,
        /// The flag that raises it.
        flag: &'static str,
    },
}

impl ReadError {
    /// Makes the error of a trailer of a later version.
    pub(super) fn newer(name: &str, error: TrailerError) -> Self {
        Self::Newer { name: name.to_owned(), what: error.to_string() }
    }
}
