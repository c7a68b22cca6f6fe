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
        Mutex, OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use nix::{
    errno::Errno,
    sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap},
};

use crate::session::lock;

/// The size of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;
/// A multiple of every page size of the processors that there are, for what is protected together.
pub const PAGE: usize = 64 << 10;
/// Requests that may wait; what exceeds them is not backed ahead.
const QUEUE: usize = 32;

/// Address space that is backed once it is touched: so many bytes, a multiple of [`PAGE`]. Its start is aligned to a huge page.
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
            let space = space.add(space.align_offset(HUGE_PAGE));
            lock(&RESERVED).push(Range { at: space.as_ptr().expose_provenance(), size });
            space
        },
        Err(error) => {
            panic!("the system gives no {} MB of memory for values: {error}", size >> 20)
        }
    }
}

/// Gives back what [`reserve`] gave, less what it took for the alignment.
///
/// # Safety
/// Nothing in it is used any more.
pub unsafe fn release(at: NonNull<u8>) {
    let mut reserved = lock(&RESERVED);
    let Some(place) = reserved.iter().position(|range| range.at == at.addr().get()) else { return };
    let Range { size, .. } = reserved.swap_remove(place);
    // SAFETY: a mapping of ours, or the greater part of one, that the caller is done with.
    let _ = unsafe { munmap(at.cast(), size) };
}

/// Asks for huge pages; where the kernel has none, ordinary ones do.
pub fn prefer_huge(at: NonNull<u8>, size: usize) {
    // SAFETY: advice changes nothing that can be read.
    let _ = unsafe { madvise(at.cast(), size, MmapAdvise::MADV_HUGEPAGE) };
}

/// Memory from [`reserve`].
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Its address.
    pub at: usize,
    /// Bytes.
    pub size: usize,
}

impl Range {
    /// Whether an address lies in it.
    pub fn contains(&self, address: usize) -> bool {
        (self.at..self.at + self.size).contains(&address)
    }
}

/// What is reserved.
static RESERVED: Mutex<Vec<Range>> = Mutex::new(Vec::new());

/// All memory that was reserved and not released, by any thread.
pub fn reserved() -> Vec<Range> {
    lock(&RESERVED).clone()
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

/// Ends, and with it every later request, if the kernel does not know how (before Linux 5.14). Memory that was released
/// meanwhile is no matter: what may be there now does not change by having its pages backed.
fn back_all(requests: &Receiver<Range>) {
    while let Ok(range) = requests.recv() {
        let Some(at) = NonNull::new(std::ptr::with_exposed_provenance_mut(range.at)) else { return };
        // SAFETY: the range is mapped and stays so. Pages that are there already are left as they are.
        if unsafe { madvise(at, range.size, MmapAdvise::MADV_POPULATE_WRITE) } == Err(Errno::EINVAL) {
            return;
        }
    }
}
