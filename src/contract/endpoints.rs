//! Each operation and each refusal of the contract, by the product's client against the simulator.
