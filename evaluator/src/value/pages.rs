//! Address space for the heap, and the thread that has the kernel back it with memory ahead of the allocation.
//!
//! A third of a large evaluation's time is the kernel clearing pages that are touched for the first time. Another core can do
//! that: the evaluating thread says how far it has come, and the thread here touches what comes next. Where it does not
//! keep up (or there is no other core) the evaluating thread meets a page that is not there, and waits for it as ever.
#![allow(unsafe_code)]

use std::{
    num::NonZeroUsize,
    ptr::NonNull,
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};

/// The size of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;
/// Requests that may wait; what exceeds them is not backed ahead.
const QUEUE: usize = 32;

/// Address space that is backed once it is touched. Its start is aligned to a huge page.
///
/// # Panics
/// If the system gives no address space: there is nothing left to work with.
pub fn reserve(size: usize) -> NonNull<u8> {
    let whole = NonZeroUsize::new(size + HUGE_PAGE).expect("more than nothing");
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let space = unsafe { mmap_anonymous(None, whole, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags) };
    match space {
        // SAFETY: the next multiple of a huge page lies within the mapping, which is that much larger.
        Ok(space) => unsafe {
            let space = space.cast::<u8>();
            space.add(space.align_offset(HUGE_PAGE))
        },
        Err(error) => {
            panic!("the system gives no {} MB of memory for values: {error}", size >> 20)
        }
    }
}

/// Asks for huge pages; where the kernel has none, ordinary ones do.
pub fn prefer_huge(at: NonNull<u8>, size: usize) {
    // SAFETY: advice changes nothing that can be read.
    let _ = unsafe { madvise(at.cast(), size, MmapAdvise::MADV_HUGEPAGE) };
}

/// Memory from [`reserve`].
struct Range {
    at: usize,
    size: usize,
}

/// Has the memory backed soon. It must come from [`reserve`].
pub fn back_ahead(at: NonNull<u8>, size: usize) {
    static REQUESTS: OnceLock<Option<SyncSender<Range>>> = OnceLock::new();
    if let Some(requests) = REQUESTS.get_or_init(start) {
        let _ = requests.try_send(Range { at: at.as_ptr().expose_provenance(), size });
    }
}

fn start() -> Option<SyncSender<Range>> {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1) {
        return None;
    }
    let (sender, receiver) = sync_channel(QUEUE);
    let thread = std::thread::Builder::new().name("pages".into()).stack_size(64 << 10);
    thread.spawn(move || back_all(&receiver)).ok()?;
    Some(sender)
}

/// Ends, and with it every later request, if the kernel does not know how (before Linux 5.14).
fn back_all(requests: &Receiver<Range>) {
    while let Ok(range) = requests.recv() {
        let Some(at) = NonNull::new(std::ptr::with_exposed_provenance_mut(range.at)) else { return };
        // SAFETY: the range is mapped and stays so. Pages that are there already are left as they are.
        if unsafe { madvise(at, range.size, MmapAdvise::MADV_POPULATE_WRITE) }.is_err() {
            return;
        }
    }
}
