//! Samples: the data plane. Bytes of an entry are decoded, go through one ring and are sounded by a device; what was
//! heard is reported exactly. Decisions are the session's: nothing here chooses what plays.

mod edit_list;
mod gain;
mod output;
mod stereo;
mod track;
