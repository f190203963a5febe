/** Places in a log: `<epoch>-<offset>`. */

/** A cursor taken apart. */
export interface Cursor {
  readonly epoch: string;
  readonly offset: number;
}

const FORM = /^([0-9a-f]{8})-([0-9]{1,16})$/;

/** The cursor, or nothing if the text is none, or names an offset that a number cannot hold. */
export function parseCursor(text: string): Cursor | undefined {
  const [, epoch, digits] = FORM.exec(text) ?? [];
  const offset = Number(digits);
  return epoch !== undefined && Number.isSafeInteger(offset) ? { epoch, offset } : undefined;
}

export function formatCursor({ epoch, offset }: Cursor): string {
  return `${epoch}-${offset.toString()}`;
}
