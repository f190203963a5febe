/** Server-Sent Events (WHATWG HTML section 9.2) out of text, however it is cut. */

/** The most characters of one event; a hub's are far smaller. */
export const EVENT_CHARS = 16 * 1024 * 1024;

/** What is heard of a stream: the data of an event, or that the line is alive. */
export type Heard = { readonly data: string } | "comment";

export class EventReader {
  #rest = "";
  #data: string[] = [];
  #chars = 0;

  /** What the next piece of the stream completes. Throws if an event is too large. */
  read(piece: string): Heard[] {
    const heard: Heard[] = [];
    // A carriage return at the end may be half of a line end.
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?=[^])/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line, heard);
    if (EVENT_CHARS < this.#rest.length + this.#chars) throw new RangeError("an event is too large");
    return heard;
  }

  #line(line: string, heard: Heard[]): void {
    if (line === "") {
      if (this.#data.length !== 0) heard.push({ data: this.#data.join("\n") });
      this.#data = [];
      this.#chars = 0;
    } else if (line.startsWith(":")) heard.push("comment");
    else if (line.startsWith("data:")) {
      const value = line.slice(line.startsWith("data: ") ? 6 : 5);
      this.#data.push(value);
      this.#chars += value.length;
    }
  }
}
