//! The guest's allocator. An instance lives for one call, so memory is handed out by moving a pointer and is given
//! back as a whole when the call ends; only the last block is ever freed or resized in place, which is what a growing
//! `Vec` or `String` needs.
//!
//! It starts at `__heap_base` inside the memory that the module declares and asks for more only when that is used up:
//! a `memory.grow` per call would cost the host two `mprotect` per call, and they serialise all its threads.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::Cell;
use core::ptr;

const PAGE: usize = 64 * 1024;
/// What is asked for at least once the declared memory is used up: few calls do, and those need more than a page.
const GROWTH_PAGES: usize = 16;

pub struct Arena {
    /// First free byte. Zero until the first allocation.
    next: Cell<usize>,
    /// First byte beyond the memory that is there.
    end: Cell<usize>,
}

// SAFETY: the target has no threads.
unsafe impl Sync for Arena {}

unsafe extern "C" {
    /// Defined by the linker: the end of stack and static data.
    static __heap_base: u8;
}

impl Arena {
    pub const fn new() -> Self {
        Self {
            next: Cell::new(0),
            end: Cell::new(0),
        }
    }

    fn reserve(&self, finish: usize) -> bool {
        if finish <= self.end.get() {
            return true;
        }
        let pages = (finish - self.end.get()).div_ceil(PAGE).max(GROWTH_PAGES);
        if memory_grow(0, pages) == usize::MAX {
            return false;
        }
        self.end.set(memory_size(0) * PAGE);
        true
    }

    fn is_last(&self, block: *mut u8, size: usize) -> bool {
        block as usize + size == self.next.get()
    }
}

// SAFETY: blocks never overlap, because `next` only moves back over the block that was handed out last.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.end.get() == 0 {
            self.next.set(&raw const __heap_base as usize);
            self.end.set(memory_size(0) * PAGE);
        }
        let start = self.next.get().next_multiple_of(layout.align());
        let Some(finish) = start.checked_add(layout.size()) else {
            return ptr::null_mut();
        };
        if !self.reserve(finish) {
            return ptr::null_mut();
        }
        self.next.set(finish);
        start as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.is_last(block, layout.size()) {
            self.next.set(block as usize);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.is_last(block, layout.size()) {
            let Some(finish) = (block as usize).checked_add(new_size) else {
                return ptr::null_mut();
            };
            if !self.reserve(finish) {
                return ptr::null_mut();
            }
            self.next.set(finish);
            return block;
        }
        if new_size <= layout.size() {
            return block;
        }
        // SAFETY: the new block does not overlap the old one, and is the larger of the two.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size());
            }
            moved
        }
    }
}
