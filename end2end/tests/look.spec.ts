import { createRequire } from 'node:module';
import { expect, open, signIn, submit, test } from './fixtures.js';
import type { Page } from '@playwright/test';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const pages = [
  '/deliveries', '/webhooks', '/webhooks/new', '/webhooks/1', '/tasks', '/tasks/new', '/tasks/1', '/events',
  '/events/new', '/events/1', '/nowhere',
];

async function findings(page: Page): Promise<string[]> {
  await page.addScriptTag({ path: axe }).catch(() => page.evaluate(() => undefined));
  return page.evaluate(async () => {
    const { violations } = await (globalThis as any).axe.run();
    return violations.flatMap((rule: any) => rule.nodes.map((node: any) => `${rule.id}: ${node.target} ${node.failureSummary}`));
  });
}

test.use({ bypassCSP: true });

test('every page is accessible in both themes, and narrow ones do not scroll sideways', async ({ page, hook }) => {
  test.setTimeout(180_000);
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await page.getByLabel('Name*', { exact: false }).first().fill('w'.repeat(128));
  await page.getByLabel('URL').fill(`${hook.inbox}/status/503`);
  await page.getByLabel('Retries').fill('0');
  await submit(page);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Webhook:');
  await open(page, hook, '/tasks/new');
  await page.getByLabel('Name').fill('t'.repeat(64));
  await page.getByLabel('Webhook').selectOption({ index: 1 });
  await submit(page);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Task:');
  await open(page, hook, '/events/new');
  await page.getByLabel('Event*', { exact: false }).selectOption('Virtual Machines: Power On');
  await page.getByLabel('Task*', { exact: false }).selectOption({ index: 1 });
  await submit(page);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Event:');
  await hook.post({ type: 'vms', event: 'poweron', object: { name: 'a-very-long-object-name-'.repeat(8) } });
  await expect.poll(() => hook.received().length).toBe(1);
  const shots = process.env.HOOKWRIGHT_SHOTS;
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const path of pages) {
      for (const width of [1280, 360]) {
        await page.setViewportSize({ width, height: 900 });
        await open(page, hook, path);
        expect(await findings(page), `${path} ${scheme} ${width}`).toEqual([]);
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(sideways, `${path} at ${width}`).toBeLessThanOrEqual(0);
        if (shots) await page.screenshot({ path: `${shots}/${path.slice(1).replaceAll('/', '-')}-${width}-${scheme}.png`, fullPage: true });
      }
    }
  }
});

test('the page to sign in is accessible in both themes and narrow', async ({ page, hook }) => {
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const path of ['/sign-in', '/setup?token=x']) {
      for (const width of [1280, 360]) {
        await page.setViewportSize({ width, height: 700 });
        await open(page, hook, path);
        expect(await findings(page), `${path} ${scheme} ${width}`).toEqual([]);
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(sideways, `${path} at ${width}`).toBeLessThanOrEqual(0);
      }
    }
  }
});

test('a chosen theme is kept, and changing it loses nothing typed', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await page.getByLabel('Name*', { exact: false }).first().fill('typed');
  await page.getByRole('button', { name: 'Theme' }).click();
  await page.getByRole('button', { name: 'Dark' }).click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.getByLabel('Name*', { exact: false }).first()).toHaveValue('typed');
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
});

test('what is typed before the browser half has loaded is kept', async ({ page, hook }) => {
  await signIn(page, hook);
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/*.wasm', async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(`${hook.url}/webhooks/new`);
  await page.getByLabel('Name*', { exact: false }).first().fill('early');
  await page.getByLabel('URL').fill(hook.inbox);
  release();
  await page.locator('html[data-hydrated]').waitFor({ state: 'attached' });
  await expect(page.getByLabel('Name*', { exact: false }).first()).toHaveValue('early');
  await submit(page);
  await expect(page.getByRole('heading', { level: 1, name: 'Webhook: early' })).toBeVisible();
});
