// What the page asks the service, and the queue of verdicts on their way to it.

const STORED = `ssosd-pending ${location.pathname}`; // with the token: another service is another queue
const RETRY_MS = 2000;

export async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
  return answer;
}

async function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/**
 * Verdicts in the order they were given, one at a time. One that the service has not answered for stays in the
 * browser's storage and is sent again, also after the page was loaded anew.
 */
export class Queue {
  /** @param {{taken: Function, refused: Function, changed: Function}} told */
  constructor(told) {
    this.told = told;
    this.waiting = JSON.parse(sessionStorage.getItem(STORED) || "[]");
    this.problem = "";
    this.busy = false;
  }

  get length() {
    return this.waiting.length;
  }

  has(candidate) {
    return this.waiting.some((deed) => deed.candidate === candidate);
  }

  /** @param {{candidate, verdict, version, person, seen}} deed */
  give(deed) {
    this.waiting.push(deed);
    this.keep();
    this.run();
  }

  keep() {
    sessionStorage.setItem(STORED, JSON.stringify(this.waiting));
    this.told.changed();
  }

  async run() {
    if (this.busy) return;
    this.busy = true;
    while (this.waiting.length) {
      const deed = this.waiting[0];
      try {
        await this.send(deed);
        this.problem = "";
      } catch (error) {
        this.problem = error.message;
        this.told.changed();
        await new Promise((go) => setTimeout(go, RETRY_MS));
      }
    }
    this.busy = false;
    this.told.changed();
  }

  async send(deed) {
    const answer = await post("verdicts", deed);
    if (![200, 400, 404, 409].includes(answer.status)) throw new Error((await answer.text()).trim());
    const said = answer.status < 400 || answer.status === 409 ? await answer.json() : null;
    this.waiting.shift();
    const now = said?.now;
    // an answer that was lost on its way: it is there already
    const mine = now && now.person === deed.person && now.verdict === deed.verdict;
    if (said?.taken || mine) {
      for (const later of this.waiting) if (later.candidate === deed.candidate) later.version = now.version;
      this.told.taken(now, deed.candidate);
    } else {
      this.waiting = this.waiting.filter((later) => later.candidate !== deed.candidate);
      this.told.refused(deed, now, said ? "" : (await answer.text()).trim());
    }
    this.keep();
  }
}

export async function undo(person) {
  const answer = await post("undo", { person });
  if (answer.status !== 200 && answer.status !== 409) throw new Error((await answer.text()).trim());
  return answer.json();
}
