import { EventEmitter } from "node:events";

export interface Job<T> {
  readonly id: string;
  readonly payload: T;
  attempts: number;
  notBefore?: Date;
}

type Handler<T> = (job: Job<T>, signal: AbortSignal) => Promise<void>;

export class RetryQueue<T> extends EventEmitter {
  #waiting: Job<T>[] = [];
  #running = new Map<string, AbortController>();

  constructor(private readonly handler: Handler<T>, private readonly limit = 4) {
    super();
  }

  push(payload: T, id = crypto.randomUUID()): string {
    this.#waiting.push({ id, payload, attempts: 0 });
    queueMicrotask(() => this.#drain());
    return id;
  }

  async #drain(): Promise<void> {
    while (this.#running.size < this.limit && this.#waiting.length > 0) {
      const job = this.#waiting.shift()!;
      const controller = new AbortController();
      this.#running.set(job.id, controller);
      try {
        await this.handler(job, controller.signal);
        this.emit("done", job.id);
      } catch (error) {
        job.attempts += 1;
        if (job.attempts < 3) {
          setTimeout(() => this.#waiting.push(job), 250 * 2 ** job.attempts);
        } else {
          this.emit("failed", job.id, error instanceof Error ? error.message : String(error));
        }
      } finally {
        this.#running.delete(job.id);
      }
    }
  }
}
