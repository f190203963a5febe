//! A queue of frames whose socket is simulated.

use super::Outbox;

impl Outbox {
    /// Writes into a socket that takes so many bytes; gives what it took.
    pub(crate) fn write_by_hand(&mut self, room: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while let Some(item) = self.items.front() {
            let count = item.bytes.len().min(room - taken.len());
            if count == 0 {
                break;
            }
            taken.extend_from_slice(&item.bytes[..count]);
            self.advance(count);
        }
        taken
    }
}
