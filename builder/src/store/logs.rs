//! Build logs, compressed, one a derivation: the last build's.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;

use zeval_model::StorePath;

use super::{IoContext, Store, StoreError};

const COMPRESSION_LEVEL: i32 = 3;

/// Takes a log while it comes.
pub struct LogWriter {
    encoder: zstd::Encoder<'static, BufWriter<File>>,
    temporary: PathBuf,
    paths: Vec<PathBuf>,
}

impl Store {
    /// Starts the log of a build, to be found under each of `drvs`: the derivation as written and what it resolves to. It
    /// takes the place of the one before when it is finished.
    pub fn start_log(&self, drvs: &BTreeSet<&StorePath>) -> Result<LogWriter, StoreError> {
        let temporary = self.session.fresh();
        let paths = drvs.iter().map(|drv| self.log_path(drv)).collect();
        let file = File::create(&temporary).doing("make", &temporary)?;
        let encoder =
            zstd::Encoder::new(BufWriter::new(file), COMPRESSION_LEVEL).doing("compress", &temporary)?;
        Ok(LogWriter { encoder, temporary, paths })
    }

    /// The log of the last build of `drv`, if there is one.
    pub fn read_log(&self, drv: &StorePath) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.log_path(drv);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.doing("open", &path)?,
        };
        let mut text = Vec::new();
        let mut decoder = zstd::Decoder::new(file).doing("read", &path)?;
        decoder.read_to_end(&mut text).doing("read", &path)?;
        Ok(Some(text))
    }

    /// The file of the log of `drv`, zstd-compressed.
    pub fn log_path(&self, drv: &StorePath) -> PathBuf {
        let (start, rest) = drv.base_name().split_at(2);
        self.layout.logs().join(start).join(format!("{rest}.zst"))
    }
}

impl LogWriter {
    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.encoder.write_all(text)
    }

    /// Puts the log in its place.
    pub fn finish(self) -> io::Result<()> {
        self.encoder.finish()?.flush()?;
        let link = self.temporary.with_extension("link");
        for path in &self.paths {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::hard_link(&self.temporary, &link)?;
            fs::rename(&link, path)?;
        }
        fs::remove_file(&self.temporary)
    }
}
