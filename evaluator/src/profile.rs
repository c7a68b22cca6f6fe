//! The profiler: where the time of an evaluation goes, by what called what.
//!
//! Code is lowered with marks at files, bodies of functions and calls of builtins only if a profiler was set
//! ([`Evaluator::set_profiler`]); without, nothing here is ever run. The clock is read at every mark's beginning and end, so
//! times are exact but for what reading it takes.

mod svg;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use crate::{
    Value,
    eval::{Evaluator, error::Result},
    ir::mark::{Mark, What},
    position::{Origin, PosId},
    print,
    value::Env,
};

/// Calls nested more deeply than this count as parts of the last one above.
const MAX_DEPTH: u32 = 400;

/// What is being called.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// A marked expression, by its address.
    Mark(usize),
    /// A label, by its number.
    Label(u32),
}

/// Something called from something.
struct Node {
    parent: u32,
    depth: u32,
    label: u32,
    key: Key,
    calls: u64,
    own: Duration,
    children: FxHashMap<Key, u32>,
}

/// Collects times.
pub struct Profiler {
    nodes: Vec<Node>,
    labels: Vec<String>,
    known: FxHashMap<String, u32>,
    current: u32,
    since: Instant,
}

/// Where the profiler was when something began, for [`Evaluator::profile_end`].
#[derive(Clone, Copy)]
pub(crate) struct Outer(Option<u32>);

impl Default for Profiler {
    fn default() -> Profiler {
        let root = Node {
            parent: 0,
            depth: 0,
            label: 0,
            key: Key::Label(0),
            calls: 1,
            own: Duration::ZERO,
            children: FxHashMap::default(),
        };
        Profiler {
            nodes: vec![root],
            labels: vec!["all".into()],
            known: FxHashMap::default(),
            current: 0,
            since: Instant::now(),
        }
    }
}

impl Profiler {
    /// The time since the last look at the clock belongs to what is under way.
    fn tick(&mut self) {
        let now = Instant::now();
        self.nodes[self.current as usize].own += now - self.since;
        self.since = now;
    }

    fn enter(&mut self, key: Key, label: impl FnOnce(&mut Profiler) -> u32) -> u32 {
        self.tick();
        let outer = self.current;
        let node = &self.nodes[outer as usize];
        // What calls itself is one frame.
        if node.key != key && node.depth < MAX_DEPTH {
            self.current = match node.children.get(&key) {
                Some(child) => *child,
                None => self.add(key, label),
            };
        }
        self.nodes[self.current as usize].calls += 1;
        outer
    }

    fn add(&mut self, key: Key, label: impl FnOnce(&mut Profiler) -> u32) -> u32 {
        let label = label(self);
        let parent = self.current;
        let depth = self.nodes[parent as usize].depth + 1;
        let number = self.nodes.len() as u32;
        let children = FxHashMap::default();
        self.nodes.push(Node { parent, depth, label, key, calls: 0, own: Duration::ZERO, children });
        self.nodes[parent as usize].children.insert(key, number);
        number
    }

    fn leave(&mut self, outer: u32) {
        self.tick();
        self.current = outer;
    }

    fn label(&mut self, text: String) -> u32 {
        if let Some(label) = self.known.get(&text) {
            return *label;
        }
        let label = self.labels.len() as u32;
        self.known.insert(text.clone(), label);
        self.labels.push(text);
        label
    }

    /// What was measured.
    pub fn finish(mut self) -> Profile {
        self.tick();
        let mut root = Frame { label: self.labels[0].clone(), ..Frame::default() };
        for node in &self.nodes {
            let mut path = Vec::new();
            let mut at = node;
            while at.depth > 0 {
                path.push(at.label);
                at = &self.nodes[at.parent as usize];
            }
            let mut frame = &mut root;
            for label in path.iter().rev() {
                let text = &self.labels[*label as usize];
                frame = frame.children.entry(text.clone()).or_default();
                frame.label.clone_from(text);
            }
            frame.own += node.own;
            frame.calls += node.calls;
        }
        root.add_up();
        Profile { root }
    }
}

/// Where the time went.
pub struct Profile {
    root: Frame,
}

/// What was called in one place of the tree of calls.
#[derive(Default)]
struct Frame {
    label: String,
    calls: u64,
    /// Less what it called.
    own: Duration,
    /// With what it called.
    total: Duration,
    children: BTreeMap<String, Frame>,
}

impl Frame {
    fn add_up(&mut self) -> Duration {
        self.total = self.own + self.children.values_mut().map(Frame::add_up).sum::<Duration>();
        self.total
    }

    fn fold(&self, stack: &mut String, out: &mut String) {
        let length = stack.len();
        if !stack.is_empty() {
            stack.push(';');
        }
        stack.push_str(&self.label.replace(';', ","));
        let own = self.own.as_micros();
        if own > 0 {
            out.push_str(&format!("{stack} {own}\n"));
        }
        self.children.values().for_each(|child| child.fold(stack, out));
        stack.truncate(length);
    }
}

impl Profile {
    /// Folded stacks: a line for each, the frames from the outermost one on apart by semicolons, then microseconds.
    pub fn folded(&self) -> String {
        let mut out = String::new();
        self.root.fold(&mut String::new(), &mut out);
        out
    }

    /// A picture that opens in a browser, where frames can be searched and looked into.
    pub fn svg(&self, title: &str) -> String {
        svg::draw(&self.root, title)
    }

    /// The time that was measured.
    pub fn total(&self) -> Duration {
        self.root.total
    }
}

impl Evaluator {
    /// Measures the evaluation of code that is loaded from now on.
    pub fn set_profiler(&mut self, profiler: Profiler) {
        self.profiler = Some(Box::new(profiler));
        self.pool = None;
    }

    /// Ends measuring.
    pub fn take_profile(&mut self) -> Option<Profile> {
        Some(self.profiler.take()?.finish())
    }

    /// Evaluates a marked expression and measures it.
    #[inline(never)]
    pub(crate) fn profiled(&mut self, mark: &'static Mark, env: &'static Env) -> Result<Value> {
        self.check_stack(PosId::NONE)?;
        let key = Key::Mark(std::ptr::from_ref(mark).addr());
        let outer = self.profiler.as_mut().map(|profiler| {
            profiler.enter(key, |profiler| {
                let text = title(mark);
                profiler.label(text)
            })
        });
        let result = self.eval(&mark.body, env);
        self.profile_end(Outer(outer));
        result
    }

    /// A file is being read, parsed and lowered.
    pub(crate) fn profile_load(&mut self, origin: &Origin) -> Outer {
        self.profile_part(|| format!("load {}", file_name(origin)))
    }

    /// Something begins that deserves a frame of its own.
    #[inline]
    pub(crate) fn profile_part(&mut self, label: impl FnOnce() -> String) -> Outer {
        Outer(self.profiler.as_mut().map(|profiler| {
            let label = profiler.label(label());
            profiler.enter(Key::Label(label), |_| label)
        }))
    }

    /// What began at `outer` ends.
    pub(crate) fn profile_end(&mut self, outer: Outer) {
        if let (Some(profiler), Some(outer)) = (&mut self.profiler, outer.0) {
            profiler.leave(outer);
        }
    }
}

fn title(mark: &Mark) -> String {
    let place = || {
        let place = mark.pos.place();
        place.map_or_else(String::new, |place| format!(" {}:{}", file_name(&place.source.origin), place.line))
    };
    match mark.what {
        What::File => match mark.pos.place() {
            Some(place) => format!("file {}", file_name(&place.source.origin)),
            None => "file".into(),
        },
        What::Function(Some(name)) => format!("{}{}", name.text(), place()),
        // Several may stand on a line.
        What::Function(None) => match mark.pos.place() {
            Some(at) => format!("(function){}:{}", place(), at.column),
            None => "(function)".into(),
        },
        What::Builtin(name) => format!("builtins.{name}"),
        What::Call | What::Expression => format!("(expression){}", place()),
    }
}

/// A file as seen from the current folder.
fn file_name(origin: &Origin) -> String {
    if let Origin::File(path) = origin
        && let Ok(folder) = std::env::current_dir()
        && let Ok(below) = path.strip_prefix(folder)
    {
        return below.display().to_string();
    }
    print::origin(origin)
}
