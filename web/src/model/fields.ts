/** Reads fields of what agents tell, which may be anything. */
import type { Data } from "tasklight/viewer";

/** The field if it is a text with something in it. */
export function textOf(data: Data | undefined, name: string): string | undefined {
  const value = data?.[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The field if it is a number that can be counted with. */
export function numberOf(data: Data | undefined, name: string): number | undefined {
  const value = data?.[name];
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** The field if it is an object. */
export function objectOf(data: Data | undefined, name: string): Data | undefined {
  const value = data?.[name];
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Data) : undefined;
}
