//! `builtins.sort`: peeksort (Munro and Wild, "Nearly-Optimal Mergesorts", 2018), with the thresholds of Nix's.
//!
//! A user's comparison may contradict itself. What comes out then depends on which elements are compared, so this compares
//! the same ones as Nix does, in the same order.

use super::Builtin;
use crate::{
    eval::{
        Evaluator,
        error::{Failure, Result},
    },
    position::PosId,
    value::{Value, View},
};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::new("sort", 2, 2, sort)];

/// Up to this length an insertion sort does.
const SHORT: usize = 16;

fn sort(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the second argument passed to builtins.sort";
    let list = evaluator.expect_list(args[1], pos, context)?;
    if list.is_empty() {
        return evaluator.force(args[1]);
    }
    let context = "while evaluating the first argument passed to builtins.sort";
    let function = evaluator.expect_function(args[0], pos, context)?;
    let mut values = Vec::with_capacity(list.len());
    for slot in list.slots() {
        evaluator.force_slot(slot)?;
        values.push(slot.get());
    }
    let by_less_than = matches!(function.view(), View::Builtin(id) if id.builtin().name == "lessThan");
    if by_less_than && sort_known(&mut values) {
        return Ok(evaluator.heap.list(&values));
    }
    let mut failed: Option<Failure> = None;
    let less = |a: Value, b: Value| -> bool {
        if failed.is_some() {
            return false;
        }
        let result = match by_less_than {
            true => {
                let context = "while evaluating the ordering function passed to builtins.sort";
                evaluator.less_than(a, b, PosId::NONE, context)
            }
            false => {
                let context =
                    "while evaluating the return value of the sorting function passed to builtins.sort";
                let applied = evaluator.apply(function, &[a, b], PosId::NONE);
                applied.and_then(|value| evaluator.expect_bool(value, pos, context))
            }
        };
        result.unwrap_or_else(|error| {
            failed = Some(error);
            false
        })
    };
    let length = values.len();
    let mut sorter = Sorter { buffer: values.clone(), values: &mut values, less };
    sorter.all(length);
    match failed {
        Some(error) => Err(error),
        None => Ok(evaluator.heap.list(&values)),
    }
}

/// Sorts numbers and strings, whose order is known and cannot fail; tells whether that is all there is.
fn sort_known(values: &mut [Value]) -> bool {
    if values.iter().all(|value| value.as_small_int().is_some()) {
        values.sort_by_key(|value| value.as_small_int());
        return true;
    }
    if values.iter().all(|value| value.as_string().is_some()) {
        values.sort_by_key(|value| value.as_string().map(|string| string.bytes()));
        return true;
    }
    false
}

struct Sorter<'v, L> {
    values: &'v mut [Value],
    buffer: Vec<Value>,
    less: L,
}

impl<L: FnMut(Value, Value) -> bool> Sorter<'_, L> {
    fn less(&mut self, a: usize, b: usize) -> bool {
        (self.less)(self.values[a], self.values[b])
    }

    fn all(&mut self, length: usize) {
        match length {
            0 | 1 => {}
            2 => {
                if self.less(1, 0) {
                    self.values.swap(0, 1);
                }
            }
            _ => self.range(0, length, 0, length),
        }
    }

    /// Sorts `begin..end`, of which `begin..left_end` and `right_begin..end` are sorted already.
    fn range(&mut self, begin: usize, end: usize, left_end: usize, right_begin: usize) {
        if left_end == end || right_begin == begin {
            return;
        }
        if end - begin <= SHORT {
            return self.insertion(begin, end);
        }
        let middle = begin + (end - begin) / 2;
        if middle <= left_end {
            self.range(left_end, end, left_end + 1, right_begin);
            return self.merge(begin, left_end, end);
        }
        if middle >= right_begin {
            self.range(begin, right_begin, left_end, right_begin - 1);
            return self.merge(begin, right_begin, end);
        }
        let (run_begin, run_end) = self.middle_run(left_end, middle, right_begin);
        if run_begin == begin && run_end == end {
            return;
        }
        if middle - run_begin < run_end - middle {
            self.range(begin, run_begin, left_end, run_begin.wrapping_sub(1));
            self.range(run_begin, end, run_end, right_begin);
            self.merge(begin, run_begin, end);
        } else {
            self.range(begin, run_end, left_end, run_begin);
            self.range(run_end, end, run_end + 1, right_begin);
            self.merge(begin, run_end, end);
        }
    }

    /// The run that holds the element before `middle`, turned round if it decreases.
    fn middle_run(&mut self, left_end: usize, middle: usize, right_begin: usize) -> (usize, usize) {
        let decreases = self.less(middle, middle - 1);
        let mut begin = middle;
        while begin - 1 > left_end && self.less(begin - 1, begin - 2) == decreases {
            begin -= 1;
        }
        let mut end = middle - 1;
        while end + 1 != right_begin && self.less(end + 1, end) == decreases {
            end += 1;
        }
        let run = (begin - 1, end + 1);
        if decreases {
            self.values[run.0..run.1].reverse();
        }
        run
    }

    fn insertion(&mut self, begin: usize, end: usize) {
        for current in begin + 1..end {
            let mut at = current;
            while at != begin && self.less(at, at - 1) {
                self.values.swap(at, at - 1);
                at -= 1;
            }
        }
    }

    /// Merges two sorted neighbours; of equals the left one comes first.
    fn merge(&mut self, begin: usize, middle: usize, end: usize) {
        self.buffer[..end - begin].copy_from_slice(&self.values[begin..end]);
        let (mut left, left_end) = (0, middle - begin);
        let (mut right, right_end) = (left_end, end - begin);
        let mut out = begin;
        while left != left_end && right != right_end {
            let take_right = (self.less)(self.buffer[right], self.buffer[left]);
            let from = if take_right { &mut right } else { &mut left };
            self.values[out] = self.buffer[*from];
            *from += 1;
            out += 1;
        }
        let rest = if left == left_end { right..right_end } else { left..left_end };
        self.values[out..out + rest.len()].copy_from_slice(&self.buffer[rest]);
    }
}
