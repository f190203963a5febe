/// <reference lib="esnext.disposable" preserve="true" />
/** `using` and `await using` where the platform has them; elsewhere the symbols that compilers put in their place. */

const symbols: { readonly dispose?: symbol; readonly asyncDispose?: symbol } = Symbol;

export const dispose: typeof Symbol.dispose = (symbols.dispose ?? Symbol.for("Symbol.dispose")) as typeof Symbol.dispose;

export const asyncDispose: typeof Symbol.asyncDispose = (symbols.asyncDispose ?? Symbol.for("Symbol.asyncDispose")) as typeof Symbol.asyncDispose;
