// The tests of the suite that the hub does not pass, by the reason. A test that is not listed must pass, one that is must not.
export const LEFT_OUT = {};
