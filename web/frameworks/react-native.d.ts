import type { Visibility } from "../order-stream.js";

/** The part of React Native's `AppState` that is needed. */
export interface AppState {
  readonly currentState: string | null;
  addEventListener(type: "change", listener: () => void): { remove(): void };
}

/** The option `visibility` for an app: it is hidden while it is in the background. */
export function appVisibility(appState: AppState): Visibility;
