/**
 * The only place that knows how messages travel: Comlink over the worker's own channel, in both directions.
 *
 * @module
 */
import { type Endpoint, expose, type Remote, wrap } from "comlink";

/** Serves `own` to the other side and returns the other side's functions, as promises. */
export function connect<Peer>(endpoint: Endpoint, own: object): Remote<Peer> {
  expose(own, endpoint);
  return wrap<Peer>(endpoint);
}
