//! What is valid, refers to what and was built to what: the store's SQLite database.
//!
//! Writes are short transactions that take the write lock at their start, so that they wait for each other and never
//! fail for being late. The journal is a WAL without a sync a commit: after a power cut the last commits may be missing
//! but what is there is whole. That the files of a valid path are on disk is recorded apart, see [`Database::sync`].

mod collect;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use zeval_model::signature::Signature;
use zeval_model::{Hash, StorePath};

pub use collect::Graph;

use super::error::StoreError;
use super::info::{BuiltPath, Effort, PathInfo, Realisation};

/// What each version of the schema adds to the one before.
const SCHEMAS: [&str; 2] = [include_str!("schema_1.sql"), include_str!("schema_2.sql")];
const SCHEMA_VERSION: i64 = SCHEMAS.len() as i64;

/// Longer than any transaction of a sane process; a stopped one must not make others fail.
const PATIENCE: Duration = Duration::from_secs(600);

/// One connection, for use by several threads in turn.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Names the boot of the kernel that we run under.
    boot: String,
    /// How much SQLite syncs: its `synchronous`.
    synchronous: &'static str,
}

type Answer<T> = Result<T, StoreError>;

impl Database {
    /// Opens the database at `path`, making it first if need be; the caller sees to it that nobody else does so at once.
    /// Without `synced` a power cut may damage its file.
    pub fn open(path: &Path, boot: String, synced: bool) -> Answer<Database> {
        let synchronous = if synced { "NORMAL" } else { "OFF" };
        let failed = |action| move |source| StoreError::Database { action, path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed("open"))?;
        set_up(&mut connection, synchronous).map_err(failed("set up"))?;
        let found = migrate(&mut connection).map_err(failed("make the tables"))?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::NewerSchema { path: path.to_owned(), found, known: SCHEMA_VERSION });
        }
        Ok(Database { path: path.to_owned(), connection: Mutex::new(connection), boot, synchronous })
    }

    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// What paths are marked with that are to be removed under this boot.
    fn going(&self) -> String {
        format!("going {}", self.boot)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic cut off was rolled back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        action: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Answer<T> {
        query(&self.lock()).map_err(|source| self.failed(action, source))
    }

    fn failed(&self, action: &'static str, source: rusqlite::Error) -> StoreError {
        StoreError::Database { action, path: self.path.clone(), source }
    }

    fn write<T>(
        &self,
        action: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> Answer<T>,
    ) -> Answer<T> {
        let mut connection = self.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|source| self.failed(action, source))?;
        let result = change(&transaction)?;
        transaction.commit().map_err(|source| self.failed(action, source))?;
        Ok(result)
    }

    pub fn is_valid(&self, path: &StorePath) -> Answer<bool> {
        self.read("look up a path", |connection| {
            connection.prepare_cached("SELECT 1 FROM path WHERE base_name = ?")?.exists([path.base_name()])
        })
    }

    pub fn info(&self, path: &StorePath) -> Answer<Option<PathInfo>> {
        let found = self.read("look up a path", |connection| {
            let row = connection
                .prepare_cached(
                    "SELECT id, nar_hash, nar_size, registered, deriver, content_address, ultimate
                     FROM path WHERE base_name = ?",
                )?
                .query_row([path.base_name()], InfoRow::read)
                .optional()?;
            let Some(row) = row else { return Ok(None) };
            let mut query = connection.prepare_cached(
                "SELECT base_name FROM reference JOIN path ON path.id = reference.reference WHERE referrer = ?",
            )?;
            let references = query.query_map([row.id], text)?.collect::<rusqlite::Result<Vec<_>>>()?;
            let signatures = connection
                .prepare_cached("SELECT signature FROM signature WHERE path = ?")?
                .query_map([row.id], text)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(Some((row, references, signatures)))
        })?;
        found.map(|(row, references, signatures)| row.into_info(path, &references, &signatures)).transpose()
    }

    /// What is known of those of `paths` that are valid.
    pub fn infos(&self, paths: &BTreeSet<StorePath>) -> Answer<BTreeMap<StorePath, PathInfo>> {
        /// Of more, all rows are read in one go.
        const FEW: usize = 300;
        if paths.len() > FEW {
            return self.all_infos(paths);
        }
        let mut infos = BTreeMap::new();
        for path in paths {
            infos.extend(self.info(path)?.map(|info| (path.clone(), info)));
        }
        Ok(infos)
    }

    fn all_infos(&self, paths: &BTreeSet<StorePath>) -> Answer<BTreeMap<StorePath, PathInfo>> {
        let (rows, references, signatures) = self.read("look up paths", |connection| {
            let rows = connection
                .prepare_cached(
                    "SELECT id, nar_hash, nar_size, registered, deriver, content_address, ultimate, base_name FROM path",
                )?
                .query_map([], |row| Ok((InfoRow::read(row)?, row.get(7)?)))?
                .collect::<rusqlite::Result<Vec<(InfoRow, String)>>>()?;
            let references = connection
                .prepare_cached("SELECT referrer, reference FROM reference ORDER BY referrer")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
            let signatures = connection
                .prepare_cached("SELECT path, signature FROM signature")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
            Ok((rows, references, signatures))
        })?;
        let mut names = HashMap::with_capacity(rows.len());
        for (row, name) in &rows {
            names.insert(row.id, parse(name)?);
        }
        let mut infos = BTreeMap::new();
        let mut wanted = HashMap::new();
        for (row, _) in rows {
            let id = row.id;
            if let Some(path) = names.get(&id).filter(|path| paths.contains(*path)) {
                wanted.insert(id, row.into_info(path, &[], &[])?);
            }
        }
        for (referrer, reference) in references {
            if let (Some(info), Some(path)) = (wanted.get_mut(&referrer), names.get(&reference)) {
                info.references.insert(path.clone());
            }
        }
        for (id, signature) in signatures {
            if let Some(info) = wanted.get_mut(&id) {
                info.signatures.extend(signature.parse::<Signature>().ok());
            }
        }
        infos.extend(wanted.into_values().map(|info| (info.path.clone(), info)));
        Ok(infos)
    }

    /// Everything that `paths` refer to, directly or not, themselves included. None of them need be valid; those that are
    /// not are left out.
    pub fn closure(&self, paths: &BTreeSet<StorePath>) -> Answer<BTreeSet<StorePath>> {
        let names: Vec<&str> = paths.iter().map(StorePath::base_name).collect();
        let names = serde_json::to_string(&names).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let found = self.read("walk a closure", |connection| {
            connection
                .prepare_cached(
                    "WITH RECURSIVE closure (id) AS (
                        SELECT path.id FROM json_each(?) JOIN path ON base_name = value
                        UNION SELECT reference FROM reference JOIN closure ON referrer = id)
                     SELECT base_name FROM closure JOIN path USING (id)",
                )?
                .query_map([names], text)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        found.iter().map(|name| parse(name)).collect()
    }

    /// The valid paths that refer to `path`, other than itself.
    pub fn referrers(&self, path: &StorePath) -> Answer<BTreeSet<StorePath>> {
        let found = self.read("look up referrers", |connection| {
            connection
                .prepare_cached(
                    "SELECT referrer.base_name FROM path JOIN reference ON reference = path.id
                     JOIN path AS referrer ON referrer.id = reference.referrer
                     WHERE path.base_name = ? AND referrer.id != path.id",
                )?
                .query_map([path.base_name()], text)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        found.iter().map(|name| parse(name)).collect()
    }

    /// The valid path whose base name starts with `hash_part` and a dash.
    pub fn find_by_hash_part(&self, hash_part: &str) -> Answer<Option<StorePath>> {
        let found = self.read("look up a path", |connection| {
            connection
                .prepare_cached("SELECT base_name FROM path WHERE base_name >= ? AND base_name < ? LIMIT 1")?
                // A dot follows a dash.
                .query_row([format!("{hash_part}-"), format!("{hash_part}.")], text)
                .optional()
        })?;
        found.map(|name| parse(&name)).transpose()
    }

    /// Every realisation whose path is valid.
    pub fn all_realisations(&self) -> Answer<Vec<Realisation>> {
        let found = self.read("list the realisations", |connection| {
            connection
                .prepare_cached(
                    "SELECT derivation, output, realisation.path FROM realisation
                     JOIN path ON base_name = realisation.path",
                )?
                .query_map([], |row| Ok((text(row)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<(String, String, String)>>>()
        })?;
        let realisation = |(drv, output, path): (String, String, String)| {
            Ok(Realisation { drv: parse(&drv)?, output, path: parse(&path)? })
        };
        found.into_iter().map(realisation).collect()
    }

    pub fn all_valid(&self) -> Answer<BTreeSet<StorePath>> {
        let found = self.read("list the paths", |connection| {
            connection
                .prepare_cached("SELECT base_name FROM path")?
                .query_map([], text)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        found.iter().map(|name| parse(name)).collect()
    }

    /// All valid paths with the sizes of their archives, in bytes.
    pub fn sizes(&self) -> Answer<Vec<(StorePath, u64)>> {
        let found = self.read("list the paths", |connection| {
            connection
                .prepare_cached("SELECT base_name, nar_size FROM path")?
                .query_map([], |row| Ok((text(row)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(String, i64)>>>()
        })?;
        found.into_iter().map(|(name, size)| Ok((parse(&name)?, size.cast_unsigned()))).collect()
    }

    /// Makes paths valid, and records realisations, all or nothing. References must be valid or among `infos`. Of paths that
    /// are valid already is only noted that their files may have been written again.
    pub fn register(&self, infos: &[PathInfo], realisations: &[Realisation]) -> Answer<()> {
        let action = "register paths";
        self.write(action, |transaction| {
            let failed = |source| self.failed(action, source);
            let mut fresh = Vec::new();
            for info in infos {
                if let Some(id) = insert_path(transaction, info, &self.boot).map_err(failed)? {
                    fresh.push((id, info));
                }
            }
            for (id, info) in fresh {
                for reference in &info.references {
                    if !insert_reference(transaction, id, reference).map_err(failed)? {
                        let (path, reference) = (info.path.clone(), reference.clone());
                        return Err(StoreError::MissingReference { path, reference });
                    }
                }
                insert_signatures(transaction, id, &info.signatures).map_err(failed)?;
            }
            realisations
                .iter()
                .try_for_each(|realisation| insert_realisation(transaction, realisation))
                .map_err(failed)
        })
    }

    /// Adds signatures to a valid path.
    pub fn add_signatures(&self, path: &StorePath, signatures: &BTreeSet<Signature>) -> Answer<()> {
        let action = "add signatures";
        self.write(action, |transaction| {
            let insert = || {
                let id = transaction
                    .prepare_cached("SELECT id FROM path WHERE base_name = ?")?
                    .query_row([path.base_name()], |row| row.get(0))
                    .optional()?;
                id.map_or(Ok(()), |id| insert_signatures(transaction, id, signatures))
            };
            insert().map_err(|source| self.failed(action, source))
        })
    }

    /// The path that `output` of `drv` was built to, if that path is still valid.
    pub fn realisation(&self, drv: &StorePath, output: &str) -> Answer<Option<StorePath>> {
        let found = self.read("look up a realisation", |connection| {
            connection
                .prepare_cached(
                    "SELECT realisation.path FROM realisation JOIN path ON base_name = realisation.path
                     WHERE derivation = ? AND output = ?",
                )?
                .query_row([drv.base_name(), output], text)
                .optional()
        })?;
        found.map(|name| parse(&name)).transpose()
    }

    /// Remembers what the last build of a derivation called `name` took.
    pub fn record_effort(&self, name: &str, effort: &Effort, finished: i64) -> Answer<()> {
        let action = "record what a build took";
        self.write(action, |transaction| {
            let insert = || {
                transaction
                    .prepare_cached(
                        "INSERT INTO history (name, milliseconds, peak_kibibytes, finished) VALUES (?, ?, ?, ?)
                         ON CONFLICT (name) DO UPDATE SET milliseconds = excluded.milliseconds,
                            peak_kibibytes = excluded.peak_kibibytes, finished = excluded.finished",
                    )?
                    .execute(params![
                        name,
                        effort.milliseconds.cast_signed(),
                        effort.peak_kibibytes.cast_signed(),
                        finished
                    ])
            };
            insert().map(drop).map_err(|source| self.failed(action, source))
        })
    }

    /// What earlier builds took, by the name of the derivation.
    pub fn efforts(&self) -> Answer<HashMap<String, Effort>> {
        self.read("look up what builds took", |connection| {
            let effort = |row: &Row<'_>| {
                let (milliseconds, peak): (i64, i64) = (row.get(1)?, row.get(2)?);
                let peak_kibibytes = peak.cast_unsigned();
                Ok((row.get(0)?, Effort { milliseconds: milliseconds.cast_unsigned(), peak_kibibytes }))
            };
            connection
                .prepare_cached("SELECT name, milliseconds, peak_kibibytes FROM history")?
                .query_map([], effort)?
                .collect()
        })
    }

    /// The paths that were built here, the latest first.
    pub fn built_paths(&self) -> Answer<Vec<BuiltPath>> {
        let rows = self.read("list what was built", |connection| {
            connection
                .prepare_cached(
                    "SELECT base_name, deriver, registered, nar_size FROM path
                     WHERE ultimate AND deriver IS NOT NULL ORDER BY registered DESC, id DESC",
                )?
                .query_map([], |row| Ok((text(row)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect::<rusqlite::Result<Vec<(String, String, i64, i64)>>>()
        })?;
        let built = |(path, deriver, registered, nar_size): (String, String, i64, i64)| {
            let (path, deriver) = (parse(&path)?, parse(&deriver)?);
            Ok(BuiltPath { path, deriver, registered, nar_size: nar_size.cast_unsigned() })
        };
        rows.into_iter().map(built).collect()
    }

    /// Paths whose files may have been lost with the kernel that wrote them.
    pub fn doubtful(&self) -> Answer<Vec<StorePath>> {
        let found = self.read("look for unsynced paths", |connection| {
            connection
                .prepare_cached(
                    "SELECT base_name FROM path WHERE unsynced IS NOT NULL AND unsynced NOT IN (?, ?) ORDER BY id",
                )?
                .query_map([&self.boot, &self.going()], text)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        found.iter().map(|name| parse(name)).collect()
    }

    /// Records that `path`, once doubtful, is whole; its files are now as safe as those that we write.
    pub fn trust(&self, path: &StorePath) -> Answer<()> {
        self.write("mark a path", |transaction| {
            let mut statement = transaction
                .prepare_cached("UPDATE path SET unsynced = ? WHERE base_name = ?")
                .map_err(|source| self.failed("mark a path", source))?;
            statement
                .execute([&self.boot, path.base_name()])
                .map(drop)
                .map_err(|source| self.failed("mark a path", source))
        })
    }

    /// Makes `path` and all that refer to it invalid and gives them, referrers first.
    pub fn invalidate(&self, path: &StorePath) -> Answer<Vec<StorePath>> {
        let action = "make a path invalid";
        let names = self.write(action, |transaction| {
            remove_with_referrers(transaction, path).map_err(|source| self.failed(action, source))
        })?;
        names.iter().map(|name| parse(name)).collect()
    }

    /// Whether something was registered before `time`, in seconds since 1970, that is not known to be on disk.
    pub fn is_unsynced_since(&self, time: i64) -> Answer<bool> {
        self.read("look for unsynced paths", |connection| {
            connection
                .prepare_cached("SELECT 1 FROM path WHERE unsynced = ? AND registered < ?")?
                .exists(params![self.boot, time])
        })
    }

    /// Calls `flush`, which must bring all files of the store to disk, and records that everything registered before is
    /// there. Does nothing if nothing was registered.
    pub fn sync(&self, flush: impl FnOnce() -> Answer<()>) -> Answer<()> {
        let last = self.read("look for unsynced paths", |connection| {
            connection
                .prepare_cached("SELECT max(id) FROM path WHERE unsynced = ?")?
                .query_row([&self.boot], |row| row.get::<_, Option<i64>>(0))
        })?;
        let Some(last) = last else { return Ok(()) };
        flush()?;
        let action = "mark synced paths";
        self.write(action, |transaction| {
            let mut statement = transaction
                .prepare_cached("UPDATE path SET unsynced = NULL WHERE unsynced = ? AND id <= ?")
                .map_err(|source| self.failed(action, source))?;
            statement
                .execute(params![self.boot, last])
                .map(drop)
                .map_err(|source| self.failed(action, source))
        })
    }
}

fn set_up(connection: &mut Connection, synchronous: &str) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
}

/// Brings the tables to the schema that we know; gives the version found, or ours.
fn migrate(connection: &mut Connection) -> rusqlite::Result<i64> {
    fn version(connection: &Connection) -> rusqlite::Result<i64> {
        connection.pragma_query_value(None, "user_version", |row| row.get(0))
    }
    if version(connection)? < SCHEMA_VERSION {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        let found = usize::try_from(version(&transaction)?).unwrap_or(0);
        for schema in SCHEMAS.iter().skip(found) {
            transaction.execute_batch(schema)?;
        }
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION.max(found as i64))?;
        transaction.commit()?;
    }
    version(connection)
}

/// The new row's id, or nothing if the path was valid already.
fn insert_path(connection: &Connection, info: &PathInfo, boot: &str) -> rusqlite::Result<Option<i64>> {
    let fresh = insert_fresh_path(connection, info, boot)?;
    if fresh.is_none() {
        connection
            .prepare_cached("UPDATE path SET unsynced = ? WHERE base_name = ? AND unsynced IS NULL")?
            .execute([boot, info.path.base_name()])?;
    }
    Ok(fresh)
}

fn insert_fresh_path(connection: &Connection, info: &PathInfo, boot: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "INSERT INTO path (base_name, nar_hash, nar_size, registered, deriver, content_address, unsynced,
                ultimate)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (base_name) DO NOTHING RETURNING id",
        )?
        .query_row(
            params![
                info.path.base_name(),
                info.nar_hash.to_prefixed_base16(),
                info.nar_size.cast_signed(),
                info.registered,
                info.deriver.as_ref().map(StorePath::base_name),
                info.content_address.map(|address| address.to_string()),
                boot,
                info.ultimate,
            ],
            |row| row.get(0),
        )
        .optional()
}

/// Whether `reference` is valid, so that it could be inserted.
fn insert_reference(connection: &Connection, referrer: i64, reference: &StorePath) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "INSERT INTO reference (referrer, reference) SELECT ?, id FROM path WHERE base_name = ?",
        )?
        .execute(params![referrer, reference.base_name()])
        .map(|count| count > 0)
}

fn insert_signatures(
    connection: &Connection,
    id: i64,
    signatures: &BTreeSet<Signature>,
) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare_cached("INSERT INTO signature (path, signature) VALUES (?, ?) ON CONFLICT DO NOTHING")?;
    signatures.iter().try_for_each(|signature| insert.execute(params![id, signature.to_string()]).map(drop))
}

fn insert_realisation(connection: &Connection, realisation: &Realisation) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO realisation (derivation, output, path) VALUES (?, ?, ?)
             ON CONFLICT (derivation, output) DO UPDATE SET path = excluded.path",
        )?
        .execute([realisation.drv.base_name(), &realisation.output, realisation.path.base_name()])
        .map(drop)
}

fn remove_with_referrers(connection: &Connection, path: &StorePath) -> rusqlite::Result<Vec<String>> {
    let mut query = connection.prepare_cached(
        "WITH RECURSIVE lost (id) AS (
            SELECT id FROM path WHERE base_name = ?
            UNION SELECT referrer FROM reference JOIN lost ON reference = id)
         SELECT id, base_name FROM lost JOIN path USING (id) ORDER BY id DESC",
    )?;
    let lost = query
        .query_map([path.base_name()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for (id, _) in &lost {
        connection.prepare_cached("DELETE FROM reference WHERE referrer = ?")?.execute([id])?;
    }
    for (id, _) in &lost {
        connection.prepare_cached("DELETE FROM path WHERE id = ?")?.execute([id])?;
    }
    Ok(lost.into_iter().map(|(_, name)| name).collect())
}

fn text(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

fn parse(base_name: &str) -> Answer<StorePath> {
    Ok(StorePath::from_base_name(base_name)?)
}

struct InfoRow {
    id: i64,
    nar_hash: String,
    nar_size: i64,
    registered: i64,
    deriver: Option<String>,
    content_address: Option<String>,
    ultimate: bool,
}

impl InfoRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<InfoRow> {
        Ok(InfoRow {
            id: row.get(0)?,
            nar_hash: row.get(1)?,
            nar_size: row.get(2)?,
            registered: row.get(3)?,
            deriver: row.get(4)?,
            content_address: row.get(5)?,
            ultimate: row.get(6)?,
        })
    }

    fn into_info(self, path: &StorePath, references: &[String], signatures: &[String]) -> Answer<PathInfo> {
        let corrupt = |what: String| StoreError::Corrupt(format!("{what}, of '{path}'"));
        let address =
            self.content_address.map(|text| text.parse().map_err(|error| corrupt(format!("{error}"))));
        Ok(PathInfo {
            path: path.clone(),
            nar_hash: Hash::parse_prefixed(&self.nar_hash).map_err(|error| corrupt(error.to_string()))?,
            nar_size: self.nar_size.cast_unsigned(),
            references: references.iter().map(|name| parse(name)).collect::<Answer<_>>()?,
            deriver: self.deriver.as_deref().map(parse).transpose()?,
            registered: self.registered,
            content_address: address.transpose()?,
            signatures: signatures.iter().filter_map(|text| text.parse().ok()).collect(),
            ultimate: self.ultimate,
        })
    }
}
