/** The token that somebody pasted: kept for this tab's session and nowhere else. */
const KEPT_AS = "tasklight.token";

export function keptToken(): string | undefined {
  try {
    return sessionStorage.getItem(KEPT_AS) ?? undefined;
  } catch {
    return undefined;
  }
}

export function keepToken(token: string): void {
  try {
    sessionStorage.setItem(KEPT_AS, token);
  } catch {
    return;
  }
}

/** Whether it can be sent at all: as the hub's clients ask of it. */
export const isSendable = (token: string): boolean => /^[!-~]+$/.test(token);
