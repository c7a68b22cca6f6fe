//! The whole graph of what is valid, and taking out of it what nothing keeps.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{OptionalExtension, Row, Transaction, TransactionBehavior, params};
use zeval_model::StorePath;

use super::{Answer, Database, parse, text};

/// A valid path in the graph.
#[derive(Clone, Debug)]
pub struct GraphNode {
    pub path: StorePath,
    pub nar_size: u64,
    /// Seconds since 1970.
    pub registered: i64,
    pub deriver: Option<StorePath>,
    /// Indices of the nodes that it refers to, itself left out.
    pub references: Vec<usize>,
}

/// Everything that is valid at one moment.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub nodes: Vec<GraphNode>,
    pub by_path: HashMap<StorePath, usize>,
    /// What outputs of a derivation were built to, valid or not.
    pub realisations: HashMap<StorePath, Vec<StorePath>>,
}

impl Graph {
    /// The nodes that `start` refer to, directly or not, themselves included.
    pub fn closure(&self, start: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut pending: Vec<usize> = start.into_iter().collect();
        while let Some(index) = pending.pop() {
            if seen.insert(index) {
                pending.extend(&self.nodes[index].references);
            }
        }
        seen
    }

    /// `chosen`, each before those that it refers to.
    pub fn referrers_first(&self, chosen: &BTreeSet<usize>) -> Vec<usize> {
        let mut referrers: HashMap<usize, usize> = chosen.iter().map(|&index| (index, 0)).collect();
        for &index in chosen {
            for reference in &self.nodes[index].references {
                if let Some(count) = referrers.get_mut(reference) {
                    *count += 1;
                }
            }
        }
        let mut ready: Vec<usize> = chosen.iter().copied().filter(|index| referrers[index] == 0).collect();
        let mut order = Vec::with_capacity(chosen.len());
        while let Some(index) = ready.pop() {
            order.push(index);
            for reference in &self.nodes[index].references {
                if let Some(count) = referrers.get_mut(reference) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(*reference);
                    }
                }
            }
        }
        order
    }
}

impl Database {
    /// The graph of what is valid now.
    pub fn graph(&self) -> Answer<Graph> {
        let (rows, edges, realisations) = self.read("read the graph", |connection| {
            let transaction = connection.unchecked_transaction()?;
            let rows = transaction
                .prepare_cached("SELECT id, base_name, nar_size, registered, deriver FROM path ORDER BY id")?
                .query_map([], |row| {
                    let size: i64 = row.get(2)?;
                    Ok((row.get(0)?, row.get(1)?, size.cast_unsigned(), row.get(3)?, row.get(4)?))
                })?
                .collect::<rusqlite::Result<Vec<(i64, String, u64, i64, Option<String>)>>>()?;
            let edges = pairs::<i64>(&transaction, "SELECT referrer, reference FROM reference")?;
            let realisations = pairs::<String>(&transaction, "SELECT derivation, path FROM realisation")?;
            Ok((rows, edges, realisations))
        })?;
        let mut graph = Graph::default();
        let mut by_id = HashMap::with_capacity(rows.len());
        for (id, base_name, nar_size, registered, deriver) in rows {
            let path = parse(&base_name)?;
            let deriver = deriver.as_deref().map(parse).transpose()?;
            by_id.insert(id, graph.nodes.len());
            graph.by_path.insert(path.clone(), graph.nodes.len());
            graph.nodes.push(GraphNode { path, nar_size, registered, deriver, references: Vec::new() });
        }
        for (referrer, reference) in edges {
            if let (Some(&from), Some(&to)) = (by_id.get(&referrer), by_id.get(&reference))
                && from != to
            {
                graph.nodes[from].references.push(to);
            }
        }
        for (derivation, path) in realisations {
            graph.realisations.entry(parse(&derivation)?).or_default().push(parse(&path)?);
        }
        Ok(graph)
    }

    /// Records, on disk when this returns, that nothing is certain of the files of `paths` under another boot. So they may be
    /// removed before it is on disk that they are not valid any more. A sync of the store does not take that back.
    pub fn doubt<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Answer<()> {
        self.write_on_disk("mark paths", |transaction| {
            let mut mark = transaction.prepare_cached("UPDATE path SET unsynced = ? WHERE base_name = ?")?;
            let going = self.going();
            paths.into_iter().try_for_each(|path| mark.execute([&going, path.base_name()]).map(drop))
        })
    }

    /// Makes those of `paths` invalid that no other valid path refers to, and gives them; referrers must come first. Their
    /// files may be removed if they were doubted before ([`Database::doubt`]).
    pub fn delete<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Answer<Vec<StorePath>> {
        let action = "make paths invalid";
        self.write(action, |transaction| {
            let delete = || {
                let mut deleted = Vec::new();
                for path in paths {
                    if delete_one(transaction, path)? {
                        deleted.push(path.clone());
                    }
                }
                Ok(deleted)
            };
            delete().map_err(|source| self.failed(action, source))
        })
    }

    /// A transaction that is on disk when this returns.
    fn write_on_disk(
        &self,
        action: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Answer<()> {
        let mut connection = self.lock();
        let synced = if self.synchronous == "OFF" { "OFF" } else { "FULL" };
        let run = || {
            connection.pragma_update(None, "synchronous", synced)?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change(&transaction)?;
            transaction.commit()
        };
        let result: rusqlite::Result<()> = run();
        let restored = connection.pragma_update(None, "synchronous", self.synchronous);
        result.and(restored).map_err(|source| self.failed(action, source))
    }
}

/// Whether the path was valid, and nothing else referred to it.
fn delete_one(transaction: &Transaction<'_>, path: &StorePath) -> rusqlite::Result<bool> {
    let id = transaction
        .prepare_cached(
            "SELECT id FROM path WHERE base_name = ?
             AND NOT EXISTS (SELECT 1 FROM reference WHERE reference = id AND referrer != id)",
        )?
        .query_row([path.base_name()], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(id) = id else { return Ok(false) };
    for statement in [
        "DELETE FROM reference WHERE referrer = ?",
        "DELETE FROM signature WHERE path = ?",
        "DELETE FROM path WHERE id = ?",
    ] {
        transaction.prepare_cached(statement)?.execute(params![id])?;
    }
    transaction.prepare_cached("DELETE FROM realisation WHERE path = ?")?.execute([path.base_name()])?;
    Ok(true)
}

fn pairs<T: rusqlite::types::FromSql>(
    transaction: &Transaction<'_>,
    query: &str,
) -> rusqlite::Result<Vec<(T, T)>> {
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    transaction.prepare_cached(query)?.query_map([], pair)?.collect()
}

impl Database {
    /// The derivations that an output at `path` is recorded for.
    pub fn realised_by(&self, path: &StorePath) -> Answer<Vec<(StorePath, String)>> {
        let found = self.read("look up realisations", |connection| {
            connection
                .prepare_cached("SELECT derivation, output FROM realisation WHERE path = ?")?
                .query_map([path.base_name()], |row| Ok((text(row)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(String, String)>>>()
        })?;
        found.into_iter().map(|(drv, output)| Ok((parse(&drv)?, output))).collect()
    }
}
