//! Flame graphs as SVG with a script of its own: a click on a frame looks into it, typing searches.

use std::fmt::Write;

use super::Frame;

const WIDTH: f64 = 1200.0;
const ROW: f64 = 17.0;
const TOP: f64 = 44.0;
/// A letter's width.
const LETTER: f64 = 6.6;
/// Frames of less than this part of the whole are not drawn.
const SMALLEST: f64 = 0.0004;

/// The picture of a tree of frames.
pub fn draw(root: &Frame, title: &str) -> String {
    let mut picture =
        Picture { out: String::new(), depth: 0, total: root.total.as_secs_f64().max(f64::MIN_POSITIVE) };
    picture.frame(root, 0, 0.0);
    let height = TOP + ROW * (picture.depth + 1) as f64 + 24.0;
    let mut out = String::new();
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"100%\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"monospace\" font-size=\"11\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fdfdfb\"/>\n\
         <text x=\"10\" y=\"18\" font-size=\"14\">{}</text>\n\
         <text x=\"10\" y=\"35\" id=\"info\">click: look into a frame; first row: back; type to search, Escape to clear</text>\n\
         <g id=\"frames\">\n",
        escape(title)
    );
    out.push_str(&picture.out);
    let _ = write!(out, "</g>\n<script><![CDATA[{SCRIPT}]]></script>\n</svg>\n");
    out
}

struct Picture {
    out: String,
    depth: usize,
    total: f64,
}

impl Picture {
    fn frame(&mut self, frame: &Frame, depth: usize, start: f64) {
        let seconds = frame.total.as_secs_f64();
        let part = seconds / self.total;
        if part < SMALLEST {
            return;
        }
        self.depth = self.depth.max(depth);
        let (x, y, width) = (start / self.total * WIDTH, TOP + ROW * depth as f64, part * WIDTH);
        let own = frame.own.as_secs_f64();
        let label = escape(&frame.label);
        let shown = escape(&cut(&frame.label, width));
        let _ = writeln!(
            self.out,
            "<g class=\"f\" data-x=\"{:.6}\" data-w=\"{part:.6}\" data-d=\"{depth}\" data-n=\"{label}\">\
             <title>{label}\n{:.1} ms, {:.1} %; itself {:.1} ms; {} calls</title>\
             <rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{}\" fill=\"{}\"/>\
             <text x=\"{:.2}\" y=\"{}\">{shown}</text></g>",
            start / self.total,
            seconds * 1e3,
            part * 100.0,
            own * 1e3,
            frame.calls,
            ROW - 1.0,
            colour(&frame.label),
            x + 3.0,
            y + 12.0,
        );
        let mut start = start;
        let mut children: Vec<&Frame> = frame.children.values().collect();
        children.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.label.cmp(&b.label)));
        for child in children {
            self.frame(child, depth + 1, start);
            start += child.total.as_secs_f64();
        }
    }
}

/// As much of a label as fits.
fn cut(label: &str, width: f64) -> String {
    let letters = ((width - 6.0) / LETTER) as usize;
    match label.chars().count() {
        count if count <= letters => label.to_owned(),
        _ if letters < 3 => String::new(),
        _ => label.chars().take(letters - 1).chain(['…']).collect(),
    }
}

/// Functions are warm, builtins blue, files green; the same name has the same colour every time.
fn colour(label: &str) -> String {
    let hash = label.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let (hue, spread) = match label {
        "all" => (0, 1),
        _ if label.starts_with("builtins.") => (200, 30),
        _ if ["file ", "load ", "copy ", "derivation "].iter().any(|kind| label.starts_with(kind)) => {
            (100, 40)
        }
        _ => (15, 40),
    };
    format!("hsl({}, {}%, {}%)", hue + hash % spread, 60 + hash / 64 % 20, 68 + hash / 4096 % 12)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = ".f{cursor:pointer}.f:hover rect{stroke:#333;stroke-width:.8}.f text{pointer-events:none}\
                     .found rect{fill:#b06cf0}.past{opacity:.5}";

const SCRIPT: &str = r#"
const W = 1200, L = 6.6;
const all = [...document.querySelectorAll('.f')].map(g => ({
  g, x: +g.dataset.x, w: +g.dataset.w, d: +g.dataset.d, n: g.dataset.n,
  rect: g.querySelector('rect'), text: g.querySelector('text'),
}));
const info = document.getElementById('info'), hint = info.textContent;
let query = '';
function zoom(to) {
  for (const f of all) {
    const above = f.d < to.d && f.x <= to.x + 1e-7 && f.x + f.w >= to.x + to.w - 1e-7;
    const inside = f.d >= to.d && f.x >= to.x - 1e-7 && f.x + f.w <= to.x + to.w + 1e-7;
    f.g.style.display = above || inside ? '' : 'none';
    f.g.classList.toggle('past', above);
    const x = above ? 0 : (f.x - to.x) / to.w * W, w = above ? W : f.w / to.w * W;
    f.rect.setAttribute('x', x);
    f.rect.setAttribute('width', w);
    f.text.setAttribute('x', x + 3);
    const n = Math.floor((w - 6) / L);
    f.text.textContent = f.n.length <= n ? f.n : n < 3 ? '' : f.n.slice(0, n - 1) + '…';
  }
}
function search() {
  const wanted = query.toLowerCase();
  let found = [];
  for (const f of all) {
    const hit = wanted !== '' && f.n.toLowerCase().includes(wanted);
    f.g.classList.toggle('found', hit);
    if (hit) found.push(f);
  }
  const outer = found.filter(f => !found.some(o => o !== f && o.d < f.d && o.x <= f.x + 1e-9 && o.x + o.w >= f.x + f.w - 1e-9));
  const part = outer.reduce((sum, f) => sum + f.w, 0) * 100;
  info.textContent = query === '' ? hint : `search: ${query} (${found.length} frames, ${part.toFixed(1)} %)`;
}
for (const f of all) f.g.addEventListener('click', () => zoom(f));
document.addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === 'Escape') query = '';
  else if (e.key === 'Backspace') query = query.slice(0, -1);
  else if (e.key.length === 1) query += e.key;
  else return;
  e.preventDefault();
  search();
});
"#;
