//! Build logs, compressed, one a derivation: the last build's.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::time::SystemTime;

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

    /// The derivation called `name`, with or without a version, that was built last of those that have a log here.
    pub fn latest_log(&self, name: &str) -> Result<Option<StorePath>, StoreError> {
        let logs = self.layout.logs();
        let mut latest: Option<(SystemTime, StorePath)> = None;
        for folder in fs::read_dir(&logs).doing("read", &logs)?.flatten() {
            let start = folder.file_name();
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let rest = file.file_name();
                let (start, rest) = (start.to_string_lossy(), rest.to_string_lossy());
                let Some(rest) = rest.strip_suffix(".zst") else { continue };
                let Ok(drv) = StorePath::from_base_name(&format!("{start}{rest}")) else { continue };
                let Ok(full) = drv.derivation_name() else { continue };
                let is_meant = full == name
                    || full.strip_prefix(name).is_some_and(|rest| {
                        rest.strip_prefix('-')
                            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                    });
                let Some(time) = file.metadata().and_then(|found| found.modified()).ok().filter(|_| is_meant)
                else {
                    continue;
                };
                if latest.as_ref().is_none_or(|(before, _)| *before < time) {
                    latest = Some((time, drv));
                }
            }
        }
        Ok(latest.map(|(_, drv)| drv))
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
