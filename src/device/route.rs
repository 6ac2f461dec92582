//! The kernel's route messages (rtnetlink) as far as they say what ways out there are. Reads and writes bytes; no socket.
//!
//! Bytes come from the kernel, yet every length in them is checked: a message that contradicts itself ends the reading.

use std::io;

/// What is told without being asked: links, addresses and routes of both families.
pub const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Length, type, flags, sequence and port of a message.
const HEAD_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
/// A question comes two numbers after what it is about.
const TO_GET: u16 = 2;
/// A question for all of a table.
const REQUEST_DUMP: u16 = 0x1 | 0x300;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
/// There is a carrier. `IFF_RUNNING` says the same, up to a second later.
const IFF_LOWER_UP: u32 = 0x1_0000;
/// There is one, but nobody may use it yet: a radio network that has not let the speaker in.
const IFF_DORMANT: u32 = 0x2_0000;
/// Addresses of this scope and above do not leave the wire or this machine.
const RT_SCOPE_LINK: u8 = 253;
const IFA_ADDRESS: u16 = 1;
const IFA_FLAGS: u16 = 8;
/// Not usable yet (its uniqueness is being checked), or not at all.
const IFA_F_UNUSABLE: u32 = 0x40 | 0x08;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;

/// One of the kernel's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Interfaces.
    Links,
    /// Addresses of interfaces.
    Addresses,
    /// Routes.
    Routes,
}

/// One entry of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An interface.
    Link {
        /// Its number.
        index: u32,
        /// It leads out of this machine, is switched on and has a carrier.
        is_live: bool,
    },
    /// An address that others can answer to.
    Address {
        /// Of which interface.
        index: u32,
        /// Family, interface and address: what makes it this one.
        bytes: Vec<u8>,
    },
    /// A route to everywhere.
    DefaultRoute {
        /// Family, interface and gateway: what makes it this one.
        bytes: Vec<u8>,
    },
}

/// Asks for a whole table.
pub fn question(kind: Kind) -> Vec<u8> {
    let (about, body_bytes) = match kind {
        Kind::Links => (RTM_NEWLINK, 16),
        Kind::Addresses => (RTM_NEWADDR, 8),
        Kind::Routes => (RTM_NEWROUTE, 12),
    };
    let length = HEAD_BYTES + body_bytes;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(u32::try_from(length).unwrap_or(0).to_ne_bytes());
    bytes.extend((about + TO_GET).to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    // Sequence and port are of no use with one question at a time; an empty body asks for all families.
    bytes.resize(length, 0);
    bytes
}

/// Reads a piece of an answer. True: it was the last one.
///
/// # Errors
/// The kernel refused, or the bytes are no messages.
pub fn read(mut bytes: &[u8], take: &mut impl FnMut(Found)) -> io::Result<bool> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "a message that is cut short");
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0).and_then(|length| usize::try_from(length).ok());
        let message = length.filter(|length| *length >= HEAD_BYTES);
        let message = message.and_then(|length| bytes.get(..length)).ok_or_else(broken)?;
        let body = message.get(HEAD_BYTES..).unwrap_or_default();
        match u16_at(message, 4) {
            Some(NLMSG_DONE) => return Ok(true),
            Some(NLMSG_ERROR) => {
                let code = u32_at(body, 0).ok_or_else(broken)?.cast_signed();
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            Some(RTM_NEWLINK) => link(body).into_iter().for_each(&mut *take),
            Some(RTM_NEWADDR) => address(body).into_iter().for_each(&mut *take),
            Some(RTM_NEWROUTE) => default_route(body).into_iter().for_each(&mut *take),
            Some(_) | None => {}
        }
        bytes = bytes.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn link(body: &[u8]) -> Option<Found> {
    let (index, flags) = (u32_at(body, 4)?, u32_at(body, 8)?);
    let needed = IFF_UP | IFF_LOWER_UP;
    Some(Found::Link {
        index,
        is_live: flags & (needed | IFF_LOOPBACK | IFF_DORMANT) == needed,
    })
}

fn address(body: &[u8]) -> Option<Found> {
    let (family, scope, index) = (*body.first()?, *body.get(3)?, u32_at(body, 4)?);
    let attributes = body.get(8..)?;
    let flags = attribute(attributes, IFA_FLAGS).and_then(|flags| u32_at(flags, 0));
    let flags = flags.or_else(|| body.get(2).copied().map(u32::from)).unwrap_or(0);
    let address = attribute(attributes, IFA_ADDRESS)?;
    let is_of_use = scope < RT_SCOPE_LINK && flags & IFA_F_UNUSABLE == 0;
    is_of_use.then(|| Found::Address {
        index,
        bytes: named(family, index, address),
    })
}

fn default_route(body: &[u8]) -> Option<Found> {
    let (family, destination_bits) = (*body.first()?, *body.get(1)?);
    let attributes = body.get(12..)?;
    let interface = attribute(attributes, RTA_OIF).and_then(|index| u32_at(index, 0))?;
    let gateway = attribute(attributes, RTA_GATEWAY).unwrap_or_default();
    (destination_bits == 0).then(|| Found::DefaultRoute {
        bytes: named(family, interface, gateway),
    })
}

fn named(family: u8, index: u32, address: &[u8]) -> Vec<u8> {
    let mut bytes = vec![family];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(address);
    bytes
}

/// The attribute of a type among those that follow each other.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)?;
        let value = bytes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEAD_BYTES + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn with_attribute(mut body: Vec<u8>, kind: u16, value: &[u8]) -> Vec<u8> {
        body.extend(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
        body
    }

    fn found(bytes: &[u8]) -> Vec<Found> {
        let mut all = Vec::new();
        assert!(!read(bytes, &mut |found| all.push(found)).unwrap());
        all
    }

    fn link_of(index: u32, flags: u32) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        message(RTM_NEWLINK, &body)
    }

    #[test]
    fn a_link_is_live_with_power_and_carrier_unless_it_leads_nowhere() {
        let is_live = |flags| {
            found(&link_of(3, flags))
                == [Found::Link {
                    index: 3,
                    is_live: true,
                }]
        };
        assert!(is_live(IFF_UP | IFF_LOWER_UP));
        assert!(!is_live(IFF_UP), "no carrier");
        assert!(!is_live(IFF_LOWER_UP), "switched off");
        assert!(!is_live(IFF_UP | IFF_LOWER_UP | IFF_DORMANT), "not let in yet");
        assert!(!is_live(IFF_UP | IFF_LOWER_UP | IFF_LOOPBACK));
    }

    #[test]
    fn an_address_counts_once_others_can_answer_to_it() {
        let body = |scope: u8, flags: u32| {
            let mut body = vec![2, 24, 0, scope];
            body.extend(3_u32.to_ne_bytes());
            let body = with_attribute(body, IFA_FLAGS, &flags.to_ne_bytes());
            message(RTM_NEWADDR, &with_attribute(body, IFA_ADDRESS, &[10, 0, 0, 7]))
        };
        let bytes = named(2, 3, &[10, 0, 0, 7]);
        assert_eq!(found(&body(0, 0)), [Found::Address { index: 3, bytes }]);
        assert_eq!(found(&body(RT_SCOPE_LINK, 0)), [], "it does not leave the wire");
        assert_eq!(found(&body(0, 0x40)), [], "its uniqueness is still being checked");
    }

    #[test]
    fn of_routes_only_those_to_everywhere_count() {
        let body = |bits: u8| {
            let body = with_attribute(
                vec![2, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                RTA_OIF,
                &3_u32.to_ne_bytes(),
            );
            message(RTM_NEWROUTE, &with_attribute(body, RTA_GATEWAY, &[10, 0, 0, 1]))
        };
        let bytes = named(2, 3, &[10, 0, 0, 1]);
        assert_eq!(found(&body(0)), [Found::DefaultRoute { bytes }]);
        assert_eq!(found(&body(24)), []);
    }

    #[test]
    fn several_messages_are_read_to_the_end_of_the_answer() {
        let mut bytes = link_of(1, 0);
        bytes.extend(link_of(2, 0));
        assert_eq!(found(&bytes).len(), 2);
        bytes.extend(message(NLMSG_DONE, &[0; 4]));
        assert!(read(&bytes, &mut |_| {}).unwrap());
    }

    #[test]
    fn a_refusal_of_the_kernel_is_an_error_with_its_number() {
        let refusal = message(NLMSG_ERROR, &(-1_i32).to_ne_bytes());
        let error = read(&refusal, &mut |_| {}).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(1));
    }

    #[test]
    fn bytes_that_contradict_themselves_end_the_reading() {
        let whole = with_attribute(vec![2, 24, 0, 0, 3, 0, 0, 0], IFA_ADDRESS, &[10, 0, 0, 7]);
        let whole = message(RTM_NEWADDR, &whole);
        for cut in 1..whole.len() {
            let mut count = 0;
            let end = read(&whole[..cut], &mut |_| count += 1);
            assert!(end.is_err() && count == 0, "{cut}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                // Whatever it is read as, it ends.
                let _ = read(&bytes, &mut |_| {});
            }
        }
    }
}
