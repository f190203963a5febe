//! What is counted while it runs, and the table at the end.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    checker::{Kind as Broken, Verdict},
    kind::Kind,
};

/// Something that is counted.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one kind of publisher did.
#[derive(Debug, Default)]
pub struct Publishing {
    /// Activities confirmed, or counted by PUBLISH.
    pub activities: Count,
    /// Requests or messages sent.
    pub sent: Count,
    /// Of these, sent again: there was no answer, or none that counts.
    pub again: Count,
    /// Messages that no hub took.
    pub untaken: Count,
}

/// What became of one kind of fault.
#[derive(Debug, Default)]
struct Faults {
    took: u64,
    /// There was nothing that it could have been done to.
    in_vain: u64,
    /// How long it was until everything had settled, where that was waited for.
    settled: Vec<Duration>,
}

/// How long it was from the last healing.
#[derive(Debug, Clone, Copy)]
pub struct Calm {
    /// Until each viewer had been at the head.
    pub viewers: Duration,
    /// Until all nodes were well, saw each other, and each task had its owner.
    pub nodes: Duration,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Figures {
    /// Over HTTP.
    pub http: Publishing,
    /// Over Redis, waiting for acks.
    pub acked: Publishing,
    /// Over Redis, waiting for nothing.
    pub forget: Publishing,
    /// Receipts that said that the activity was there already.
    pub duplicates: Count,
    /// Activities that viewers by WebSocket got.
    pub websocket: Count,
    /// Activities that viewers by SSE got.
    pub sse: Count,
    /// Connections of viewers that were established.
    pub connections: Count,
    /// Attempts that came to nothing: refused, or no answer in time.
    pub refused: Count,
    /// Connections that viewers gave up because nothing came for too long.
    pub silent: Count,
    /// Requests of publishers that were told to come back later.
    pub told: Count,
    /// Times a hub told viewers that a log starts over.
    pub resets: Count,
    /// Times a hub told viewers to go elsewhere.
    pub drains: Count,
    /// Activities that viewers by an SDK got.
    pub sdk: Count,
    /// Calms in which nodes did not settle.
    pub unsettled: Count,
    faults: Mutex<BTreeMap<Kind, Faults>>,
    calms: Mutex<Vec<Calm>>,
    noticed: Mutex<BTreeMap<Kind, Duration>>,
    silences: Mutex<BTreeMap<Option<Kind>, Duration>>,
    tried: Mutex<BTreeMap<Kind, u64>>,
}

impl Figures {
    /// A fault is over; whether it was done to anything.
    pub fn fault(&self, kind: Kind, took: bool) {
        let mut faults = self.faults.lock();
        let of = faults.entry(kind).or_default();
        if took { of.took += 1 } else { of.in_vain += 1 }
    }

    /// After a fault it took so long until everything had settled.
    pub fn settled(&self, kind: Kind, after: Duration) {
        self.faults.lock().entry(kind).or_default().settled.push(after);
    }

    /// After many faults everything has settled.
    pub fn calm(&self, calm: Calm) {
        self.calms.lock().push(calm);
    }

    /// How many faults were done to something.
    pub fn faults(&self) -> u64 {
        self.faults.lock().values().map(|of| of.took).sum()
    }

    /// Something was counted by PUBLISH while one hub was failing by this, and nothing excuses it: promise 5 is put to the test.
    pub fn tried(&self, kind: Kind) {
        *self.tried.lock().entry(kind).or_default() += 1;
    }

    /// A node said so long after a fault began that something is missing.
    pub fn noticed(&self, kind: Kind, after: Duration) {
        let mut noticed = self.noticed.lock();
        let longest = noticed.entry(kind).or_default();
        *longest = after.max(*longest);
    }

    /// A viewer that wanted to hear heard nothing for so long.
    pub fn silence(&self, during: Option<Kind>, lasted: Duration) {
        let mut silences = self.silences.lock();
        let longest = silences.entry(during).or_default();
        *longest = lasted.max(*longest);
    }

    /// All activities that were confirmed or counted.
    pub fn published(&self) -> u64 {
        self.http.activities.get() + self.acked.activities.get() + self.forget.activities.get()
    }

    /// All deliveries.
    pub fn delivered(&self) -> u64 {
        self.websocket.get() + self.sse.get() + self.sdk.get()
    }

    /// The table.
    pub fn table(&self, verdict: &Verdict, time: Duration) -> String {
        let mut table = String::new();
        let mut row = |name: &str, text: String| {
            // Writing to a string does not fail.
            let _ = writeln!(table, "  {name:<34} {text}");
        };
        let seconds = |time: &Duration| format!("{:.1} s", time.as_secs_f64());
        let faults = self.faults.lock();
        row("time", seconds(&time));
        row("faults", faults.values().map(|of| of.took).sum::<u64>().to_string());
        for (kind, Faults { took, in_vain, settled }) in &*faults {
            let longest = settled.iter().max().map(|time| format!("settled within {}", seconds(time))).unwrap_or_default();
            let noticed = self.noticed.lock().get(kind).map(|time| format!(", noticed within {}", seconds(time)));
            let vain = if *in_vain == 0 { String::new() } else { format!("and {in_vain} in vain ") };
            row(&format!("  {}", kind.name()), format!("{took:<8} {vain}{longest}{}", noticed.unwrap_or_default()));
        }
        let calms = self.calms.lock();
        if !calms.is_empty() {
            row("calms", format!("{}, in {} of them nodes did not settle", calms.len(), self.unsettled.get()));
            row("  all viewers at the head after", quantiles(calms.iter().map(|calm| calm.viewers)));
            row("  all nodes settled after", quantiles(calms.iter().map(|calm| calm.nodes)));
        }
        let publishing = |of: &Publishing, word: &str| {
            let [activities, sent, again, untaken] = [&of.activities, &of.sent, &of.again, &of.untaken].map(Count::get);
            format!("{activities:<8} {word}; {sent} sent, {again} of them again, {untaken} taken by nobody")
        };
        row("activities", self.published().to_string());
        row("  HTTP", publishing(&self.http, "receipts"));
        row("  PUBLISH, acked", publishing(&self.acked, "acks"));
        row("  PUBLISH, fire and forget", publishing(&self.forget, "counted"));
        for kind in [Kind::KillHub, Kind::FreezeHub] {
            let tried = self.tried.lock().get(&kind).copied().unwrap_or_default();
            row(&format!("    with a {}", kind.name()), format!("{tried:<8} promised all the same (promise 5)"));
        }
        row("publishers told to come back", self.told.get().to_string());
        row("receipts of duplicates", self.duplicates.get().to_string());
        row("in the store", verdict.stored.to_string());
        let [websocket, sse, sdk] = [&self.websocket, &self.sse, &self.sdk].map(Count::get);
        row("deliveries", format!("{} ({websocket} by WebSocket, {sse} by SSE, {sdk} by the SDKs)", self.delivered()));
        let [connections, refused, silent, drains] =
            [&self.connections, &self.refused, &self.silent, &self.drains].map(Count::get);
        row("viewers' connections", format!("{connections}; {refused} refused, {silent} given up, {drains} drained"));
        for (kind, longest) in &*self.silences.lock() {
            let name = kind.map_or("without a fault", Kind::name);
            row(&format!("longest silence, {name}"), seconds(longest));
        }
        let broken = |kind: Broken| verdict.counts.get(&kind).copied().unwrap_or_default().to_string();
        for (fault, lost) in &verdict.excused {
            row(&format!("fire and forget lost, {fault}"), format!("{lost:<8} promised by nobody"));
        }
        for (fault, late) in &verdict.late {
            row(&format!("fire and forget late, {fault}"), format!("{late:<8} stored after later ones, promised by nobody"));
        }
        for kind in Broken::ALL {
            row(kind.name(), broken(kind));
        }
        table
    }
}

/// The middle, the worst of a hundred, and the worst.
fn quantiles(times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<f64> = times.map(|time| time.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let at = |hundredths: usize| times[(times.len() * hundredths).div_ceil(100).saturating_sub(1)];
    format!("p50 {:.1} s, p99 {:.1} s, at most {:.1} s", at(50), at(99), at(100))
}
