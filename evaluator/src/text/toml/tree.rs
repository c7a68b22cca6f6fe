//! Tables while they are being filled: which of them may still be added to, and what stands in the way.

use bstr::BString;
use rustc_hash::FxHashMap;

use super::Toml;
use super::report::{Region, Report};

/// How a table came to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Origin {
    /// `[a]`, or an element of `[[a]]`, or the whole text.
    Header,
    /// The `a` of `[a.b]`.
    Implied,
    /// The `a` of `a.b = ...`.
    Dotted,
    /// `{ ... }`
    Inline,
}

#[derive(Debug)]
pub struct Table {
    pub entries: Vec<(BString, Entry)>,
    pub origin: Origin,
    /// Where each key is, once there are more than [`SEARCHED`].
    index: FxHashMap<BString, usize>,
}

/// So many keys are found as quickly one after the other.
const SEARCHED: usize = 16;

/// A value with the place that errors about it show.
#[derive(Debug)]
pub struct Entry {
    pub node: Node,
    pub region: Region,
}

#[derive(Debug)]
pub enum Node {
    Table(Table),
    /// `[[a]]`: never empty.
    Tables(Vec<Table>),
    Array(Vec<Entry>),
    Scalar(Toml),
}

impl Node {
    /// `[ { ... } ]`: an array of nothing but tables.
    fn is_inline_tables(&self) -> bool {
        match self {
            Node::Array(items) => {
                !items.is_empty() && items.iter().all(|item| matches!(item.node, Node::Table(_)))
            }
            _ => false,
        }
    }
}

/// A key with its parts, and all of it in the text.
pub struct Key {
    pub parts: Vec<BString>,
    pub region: Region,
}

const EXISTS: &str = "toml::insert_value: failed to insert a value, value already exists";
const TABLE_EXISTS: &str = "toml::insert_value: failed to insert a table, table already defined";
const TABLES_EXIST: &str = "toml::insert_value: failed to insert an array of tables, value already exists";
const INLINE: &str = "toml::insert_value: failed to insert a value: inline table is immutable";
const INLINE_TABLES_INSIDE: &str = "toml::insert_value:inline array of tables are immutable";
const INLINE_TABLES: &str =
    "toml::insert_value: failed to insert a table, inline array of tables is immutable";
const REOPENED: &str = "toml::insert_value: reopening a table using dotted keys";

impl Table {
    pub fn new(origin: Origin) -> Table {
        Table { entries: Vec::new(), origin, index: FxHashMap::default() }
    }

    fn position(&self, name: &BString) -> Option<usize> {
        match self.entries.len() <= SEARCHED {
            true => self.entries.iter().position(|(key, _)| key == name),
            false => self.index.get(name).copied(),
        }
    }

    fn push(&mut self, name: BString, entry: Entry) {
        self.entries.push((name, entry));
        let from = match self.entries.len() {
            ..=SEARCHED => return,
            length if self.index.is_empty() => length - SEARCHED - 1,
            length => length - 1,
        };
        for (index, (name, _)) in self.entries.iter().enumerate().skip(from) {
            self.index.insert(name.clone(), index);
        }
    }

    /// The index of the entry, which is added if it is missing. Also gives whether it was there.
    fn entry(&mut self, name: &BString, fresh: impl FnOnce() -> Entry) -> (usize, bool) {
        match self.position(name) {
            Some(index) => (index, true),
            None => {
                self.push(name.clone(), fresh());
                (self.entries.len() - 1, false)
            }
        }
    }

    /// `a.b = value`
    pub fn insert(&mut self, key: &Key, value: Entry) -> Result<(), Report> {
        let Some((last, path)) = key.parts.split_last() else { return Ok(()) };
        let mut table = self;
        for name in path {
            table = table.descend_dotted(name, key.region)?;
        }
        match table.position(last) {
            None => {
                table.push(last.clone(), value);
                Ok(())
            }
            Some(index) => {
                let there = table.entries[index].1.region;
                let report = Report::new(EXISTS, key.region, "inserting this");
                Err(report.and(there, "but value already exists"))
            }
        }
    }

    fn descend_dotted(&mut self, name: &BString, region: Region) -> Result<&mut Table, Report> {
        let fresh = || Entry { node: Node::Table(Table::new(Origin::Dotted)), region };
        let (index, _) = self.entry(name, fresh);
        let entry = &mut self.entries[index].1;
        let there = entry.region;
        match &mut entry.node {
            Node::Table(Table { origin: Origin::Inline, .. }) => {
                Err(Report::new(INLINE, region, "inserting this").and(there, "to this table"))
            }
            Node::Table(table) if table.origin == Origin::Dotted => Ok(table),
            Node::Table(_) => Err(Report::new(REOPENED, region, "dotted key cannot reopen a table")
                .and(there, "this table is already closed")),
            _ => {
                let report = Report::new(EXISTS, region, "while inserting this");
                Err(report.and(there, "non-table value already exists"))
            }
        }
    }

    fn descend_header(&mut self, name: &BString, region: Region) -> Result<&mut Table, Report> {
        let fresh = || Entry { node: Node::Table(Table::new(Origin::Implied)), region };
        let (index, _) = self.entry(name, fresh);
        let entry = &mut self.entries[index].1;
        let there = entry.region;
        let inline_tables = entry.node.is_inline_tables();
        let in_the_way = || {
            let report = Report::new(EXISTS, region, "while inserting this");
            report.and(there, "non-table value already exists")
        };
        match &mut entry.node {
            Node::Table(Table { origin: Origin::Inline, .. }) => {
                Err(Report::new(INLINE, region, "inserting this").and(there, "to this table"))
            }
            Node::Table(table) => Ok(table),
            Node::Tables(tables) => tables.last_mut().ok_or_else(in_the_way),
            _ if inline_tables => Err(Report::new(INLINE_TABLES_INSIDE, region, "inserting this")
                .and(there, "inline array of tables")),
            _ => Err(in_the_way()),
        }
    }

    /// `[a.b]`: the table to go on with.
    pub fn open_table(&mut self, key: &Key) -> Result<&mut Table, Report> {
        let region = key.region;
        let mut table = self;
        let Some((last, path)) = key.parts.split_last() else { return Ok(table) };
        for name in path {
            table = table.descend_header(name, region)?;
        }
        let fresh = || Entry { node: Node::Table(Table::new(Origin::Header)), region };
        let (index, existed) = table.entry(last, fresh);
        let entry = &mut table.entries[index].1;
        let there = entry.region;
        match &mut entry.node {
            Node::Table(table) if !existed || table.origin == Origin::Implied => {
                table.origin = Origin::Header;
                entry.region = region;
                Ok(table)
            }
            _ => Err(Report::new(TABLE_EXISTS, region, "inserting this")
                .and(there, "this table is explicitly defined")),
        }
    }

    /// `[[a.b]]`: the table to go on with.
    pub fn open_next_table(&mut self, key: &Key) -> Result<&mut Table, Report> {
        let region = key.region;
        let mut table = self;
        let Some((last, path)) = key.parts.split_last() else { return Ok(table) };
        for name in path {
            table = table.descend_header(name, region)?;
        }
        let (index, _) = table.entry(last, || Entry { node: Node::Tables(Vec::new()), region });
        let entry = &mut table.entries[index].1;
        let there = entry.region;
        if entry.node.is_inline_tables() {
            let report = Report::new(INLINE_TABLES, region, "while inserting this");
            return Err(report.and(there, "this is inline array-of-tables"));
        }
        let Node::Tables(tables) = &mut entry.node else {
            let report = Report::new(TABLES_EXIST, region, "while inserting this");
            return Err(report.and(there, "non-table value already exists"));
        };
        tables.push(Table::new(Origin::Header));
        let last = tables.len() - 1;
        Ok(&mut tables[last])
    }

    pub fn finish(self) -> Toml {
        Toml::Table(self.entries.into_iter().map(|(name, entry)| (name, entry.node.finish())).collect())
    }
}

impl Node {
    fn finish(self) -> Toml {
        match self {
            Node::Table(table) => table.finish(),
            Node::Tables(tables) => Toml::Array(tables.into_iter().map(Table::finish).collect()),
            Node::Array(items) => Toml::Array(items.into_iter().map(|item| item.node.finish()).collect()),
            Node::Scalar(value) => value,
        }
    }
}
