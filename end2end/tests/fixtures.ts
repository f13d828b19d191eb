/**
 * A console of its own for each test: real server, real database file, real receiver. No fixed ports, no shared
 * accounts. A test fails on any console error, page error or hydration warning.
 */
import { test as base, expect, type Page } from '@playwright/test';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const bin = process.env.HOOKWRIGHT_BIN ?? join(import.meta.dirname, '../../target/debug/hookwright');
export const password = 'correct horse battery';

/** A request as the inbox read it from its socket. */
export type Received = { method: string; path: string; headers: [string, string][]; body: string };

export type Console = {
  /** `http://127.0.0.1:PORT` */
  url: string;
  /** The inbox's address. */
  inbox: string;
  /** What has arrived there so far. */
  received: () => Received[];
  /** An API key with both scopes. */
  key: string;
  /** Posts to the ingest API. */
  post: (body: unknown) => Promise<Response>;
};

/** Starts a program and waits for the line that says where it listens. */
async function start(args: string[], says: RegExp): Promise<{ child: ChildProcess; address: string }> {
  const child = spawn(bin, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const address = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      text += chunk;
      const found = says.exec(text);
      if (found) resolve(found[1]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', () => reject(new Error(`${args[0]} ended: ${text}`)));
  });
  return { child, address };
}

function command(args: string[], input = ''): string {
  const done = spawnSync(bin, args, { input, encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${args.join(' ')}: ${done.stderr}`);
  return done.stdout.trim();
}

export const test = base.extend<{ hook: Console; faults: string[] }>({
  hook: async ({}, use) => {
    const dir = mkdtempSync(join(tmpdir(), 'hookwright-'));
    const data = ['--data-dir', join(dir, 'data')];
    const record = join(dir, 'inbox.jsonl');
    const server = await start(
      ['serve', ...data, '--listen', 'http://127.0.0.1:0', '--egress-allow', '127.0.0.0/8', '--time-zone', 'UTC'],
      /Hookwright is at (\S+)\s/,
    );
    const inbox = await start(['inbox', '--listen', '127.0.0.1:0', '--record', record], /inbox on (\S+)\s/);
    command(['user', 'add', 'maria', '--role', 'admin', '--password-stdin', ...data], password);
    command(['user', 'add', 'victor', '--role', 'viewer', '--password-stdin', ...data], password);
    const key = command(['key', 'add', 'dc-1', '--scope', 'ingest,inventory', ...data]);
    const post = (body: unknown) =>
      fetch(`${server.address}/api/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const received = () =>
      readFileSync(record, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as Received);
    await use({ url: server.address, inbox: inbox.address, received, key, post });
    const ended = new Promise((resolve) => server.child.on('exit', resolve));
    inbox.child.kill();
    server.child.kill('SIGTERM');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  },
  faults: [
    async ({ page }, use) => {
      const faults: string[] = [];
      page.on('console', (message) => {
        if (!['error', 'warning'].includes(message.type())) return;
        // A refused form is answered with 422, which Chromium notes as a failed load; a page nobody has, with 404.
        const isRefusal = /the server responded with a status of (422|401|403|429)/.test(message.text());
        const isNowhere = message.location().url.endsWith('/nowhere');
        // Without JavaScript nobody uses the module that the page asks for ahead of time.
        const isUnused = test.info().project.use.javaScriptEnabled === false && message.text().includes('was preloaded');
        if (!isRefusal && !isNowhere && !isUnused) faults.push(message.text());
      });
      page.on('pageerror', (error) => faults.push(String(error)));
      await use(faults);
      expect(faults).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** Opens a page, and waits until it is alive where WASM runs. */
export async function open(page: Page, hook: Console, path: string) {
  await page.goto(hook.url + path);
  await alive(page);
}

/** Waits until the browser half has taken over, where it runs. */
export async function alive(page: Page) {
  if (test.info().project.use.javaScriptEnabled === false) return;
  await page.locator('html[data-hydrated]').waitFor({ state: 'attached' });
}

/** Signs in and ends at the deliveries. */
export async function signIn(page: Page, hook: Console, name = 'maria') {
  await open(page, hook, '/sign-in');
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password', { exact: false }).first().fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Deliveries' })).toBeVisible();
  await alive(page);
}

/** Sends the form of the page. */
export async function submit(page: Page) {
  await page.getByRole('button', { name: 'Submit' }).click();
}
