//! Requests that begin at a steady rate, whatever became of those before, from one thread that waits for no answer.
//!
//! The load shares the machine with what it drives, so it costs as little as it can: every few milliseconds it sends what
//! is due and looks for answers. Times are thus up to a portion too long, never too short.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use jhe_testkit::connection::{Connection, Head};

use crate::load::{Meter, Outcome, Plan, Tally};
use crate::place::Place;

/// How far apart portions are.
const PORTION: Duration = Duration::from_millis(10);
/// How long answers are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// One who asks the same again and again, one request at a time.
pub(crate) struct Asker {
    stream: TcpStream,
    request: String,
    arrived: Vec<u8>,
    /// When the request under way should have begun.
    due: Instant,
}

impl Asker {
    /// Takes a connection over.
    pub(crate) fn new(connection: Connection, request: String) -> Result<Self> {
        let stream = connection.into_stream()?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, request, arrived: Vec::with_capacity(8 * 1024), due: Instant::now() })
    }

    fn ask(&mut self, due: Instant) -> Result<()> {
        self.due = due;
        self.arrived.clear();
        let sent = self.stream.write(self.request.as_bytes())?;
        ensure!(sent == self.request.len(), "a request that is too long to be sent at once");
        Ok(())
    }

    /// The status of the answer, once it is all there.
    fn answer(&mut self) -> Result<Option<u16>> {
        let mut part = [0_u8; 8 * 1024];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => self.arrived.extend_from_slice(part.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let Some(head) = Head::of(&self.arrived)? else { return Ok(None) };
        let Some(body) = head.body_length() else { bail!("an answer in chunks") };
        Ok((self.arrived.len() >= head.length + body).then_some(head.status))
    }
}

/// Offers so many requests a second; those that are answered `expected` worked.
pub(crate) fn offer(
    name: String,
    place: &Place,
    plan: Plan,
    rate: f64,
    expected: u16,
    mut free: Vec<Asker>,
) -> Result<Outcome> {
    ensure!(rate > 0.0, "no rate to go by");
    let mut busy: Vec<Asker> = Vec::new();
    let mut tally = Tally::default();
    let mut next = 0_u32;
    let meter = Meter::begin(place);
    let started = Instant::now();
    for portion in 1_u32.. {
        let all_sent = loop {
            let offset = Duration::from_secs_f64(f64::from(next) / rate);
            if offset >= plan.duration {
                break true;
            }
            if offset > started.elapsed() {
                break false;
            }
            // Whose turn it is waits for somebody who can ask, and the time counts.
            let Some(mut asker) = free.pop() else { break false };
            asker.ask(started + offset)?;
            busy.push(asker);
            next += 1;
        };
        let mut waiting = Vec::with_capacity(busy.len());
        for mut asker in busy {
            match asker.answer()? {
                None => waiting.push(asker),
                Some(status) => {
                    let outcome = if status == expected { Ok(true) } else { Err(anyhow::anyhow!("{status}")) };
                    tally.add(asker.due, outcome);
                    free.push(asker);
                }
            }
        }
        busy = waiting;
        if all_sent && busy.is_empty() {
            break;
        }
        ensure!(started.elapsed() < plan.duration + PATIENCE, "{} requests are not answered", busy.len());
        std::thread::sleep((started + PORTION * portion).saturating_duration_since(Instant::now()));
    }
    Ok(meter.end(name, tally))
}
