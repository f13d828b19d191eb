/** The main journey, from an empty database to a message on the wire: by mouse, then by keyboard alone. */
import {
  chooseEvent, type Console, expect, field, open, password, save, seeTitle, signIn, submit, test, waitForHydration,
} from './fixtures.js';
import type { Locator, Page } from '@playwright/test';

const template = '{"on": "${DATE}", "at": ${TIMESTAMP}, "n": ${RANDOM}, "vm": "${NAME}"}';
const toolbar = (page: Page, name: string) => page.getByRole('toolbar', { name: 'Headers' }).getByRole('button', { name });

/** Sends an inventory of two VMs, one of which carries the tag. */
async function bringInventory(hook: Console) {
  const response = await hook.inventory('vms', [
    { id: 'vm-101', name: 'web "01"', tags: ['Environment/production'] },
    { id: 'vm-102', name: 'web-02', tags: [] },
  ]);
  expect(response.status).toBe(200);
}

/** Posts two CloudEvents, the first about the tagged VM. Returns the ids of the occurrences. */
async function happen(hook: Console): Promise<string[]> {
  const event = (id: string, subject: string) => ({
    specversion: '1.0', id, source: '/dc-1', type: 'vms.poweron', subject, time: new Date().toISOString(),
  });
  const ids = [];
  for (const [subject, started] of [['vm-101', 1], ['vm-102', 0]] as const) {
    const response = await hook.post(event(`e-${subject}`, subject), 'application/cloudevents+json');
    expect(response.status).toBe(202);
    const { occurrences } = await response.json() as { occurrences: { id: string; tasks_started: number }[] };
    expect(occurrences).toMatchObject([{ tasks_started: started }]);
    ids.push(occurrences[0].id);
  }
  return ids;
}

/** Expects exactly one request, exactly as configured. */
async function seeRequest(hook: Console) {
  await expect.poll(() => hook.received().length).toBe(1);
  const [request] = hook.received();
  expect([request.method, request.path]).toEqual(['POST', '/hooks/vm']);
  expect(request.headers.slice(1, 7)).toEqual([
    ['X-Route', 'a'],
    ['X-Trace', '2'],
    ['Content-Type', 'application/json'],
    ['X-Env', 'production'],
    ['X-Last', 'z'],
    ['Authorization', 'Bearer s3cr3t-token'],
  ]);
  expect(request.headers[0][0]).toBe('Host');
  const body = JSON.parse(request.body);
  expect(Object.keys(body)).toEqual(['on', 'at', 'n', 'vm']);
  expect(body.vm).toBe('web "01"');
  expect(body.on).toMatch(/^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} UTC$/);
  expect(Math.abs(body.at - Date.now() / 1000)).toBeLessThan(60);
  expect(Number.isInteger(body.n)).toBe(true);
}

/** Expects the delivery in the open list without a reload, and the reason on the page of the other occurrence. */
async function seeOutcome(page: Page, hook: Console, other: string) {
  const row = page.getByRole('row').filter({ hasText: 'Zapier' });
  await expect(row).toContainText('Sent');
  await expect(row).toContainText('HTTP 200');
  await expect(row).toContainText('web "01"');
  expect(await page.evaluate(() => 'was_here' in globalThis), 'the page was not loaded again').toBe(true);
  expect(hook.received().length).toBe(1);
  await open(page, hook, `/occurrences/${other}`);
  await seeTitle(page, 'Power On: web-02');
  await expect(page.getByText('0 of 1 event fired')).toBeVisible();
  await expect(page.getByText('did not carry the tag')).toBeVisible();
}

const mark = (page: Page) => page.evaluate(() => { (globalThis as any).was_here = true; });

test('by mouse: inventory, webhook, task and event send one exact request', async ({ page, hook }) => {
  test.setTimeout(90_000);
  await signIn(page, hook);
  await open(page, hook, '/tags');
  const category = page.getByRole('form', { name: 'New Tag Category' });
  await field(category, 'Name').fill('Environment');
  await category.getByLabel('Virtual Machines').check();
  await category.getByRole('button', { name: 'Add category' }).click();
  const tag = page.getByRole('form', { name: 'New Tag', exact: true });
  await field(tag, 'Name').fill('production');
  await tag.getByRole('button', { name: 'Add tag' }).click();
  await expect(page.getByRole('region', { name: 'Environment' })).toContainText('production');
  await bringInventory(hook);

  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill('Zapier');
  await field(page, 'URL').fill(`${hook.inbox}/hooks/vm`);
  await field(page, 'Authorization Type').selectOption('Bearer');
  await field(page, 'Authorization Token').fill('s3cr3t-token');
  await expect(field(page, 'Header 1 name')).toHaveValue('Content-Type');
  await expect(field(page, 'Header 1 value')).toHaveValue('application/json');
  const added = [['X-Env', 'production'], ['X-Route', 'a'], ['X-Trace', '1']];
  for (const [index, [name, value]] of added.entries()) {
    await toolbar(page, 'Add').click();
    await expect(field(page, 'New header name')).toBeFocused();
    await field(page, 'New header name').fill(name);
    await field(page, `Header ${index + 2} value`).fill(value);
  }
  await expect(toolbar(page, 'Up')).toHaveAttribute('aria-disabled', 'true');
  await field(page, 'Check header 3').check();
  await field(page, 'Check header 4').check();
  for (const position of [2, 1]) {
    await toolbar(page, 'Up').click();
    await expect(field(page, `Header ${position} name`)).toHaveValue('X-Route');
    await expect(field(page, `Header ${position + 1} name`)).toHaveValue('X-Trace');
    await expect(field(page, `Check header ${position}`)).toBeChecked();
    await expect(field(page, `Check header ${position + 1}`)).toBeChecked();
    await expect(page.getByRole('checkbox', { checked: true, name: /^Check header/ })).toHaveCount(2);
    await expect(toolbar(page, 'Up')).toBeFocused();
  }
  await expect(toolbar(page, 'Up')).toHaveAttribute('aria-disabled', 'true');
  await toolbar(page, 'Raw').click();
  const text = field(page, 'Headers as text');
  await expect(text).toHaveValue('X-Route: a\nX-Trace: 1\nContent-Type: application/json\nX-Env: production');
  await text.fill('X-Route: a\nX-Trace: 2\nContent-Type: application/json\nX-Env: production\nX-Last:z');
  await toolbar(page, 'Raw').click();
  await expect(field(page, 'Header 2 value')).toHaveValue('2');
  await expect(field(page, 'Header 5 name')).toHaveValue('X-Last');
  await save(page, 'Webhook: Zapier');

  await page.getByRole('link', { name: 'New Task', exact: true }).first().click();
  await seeTitle(page, 'New Task');
  await field(page, 'Name').fill('Start workflow');
  await field(page, 'Object').selectOption('Zapier');
  await field(page, 'Message').fill(template.replace('${NAME}"}', ''));
  await page.getByRole('button', { name: '${NAME}' }).click();
  await expect(field(page, 'Message')).toBeFocused();
  await page.keyboard.type('"}');
  await expect(field(page, 'Message')).toHaveValue(template);
  await save(page, 'Task: Start workflow');

  await page.getByRole('link', { name: 'New Event', exact: true }).click();
  await seeTitle(page, 'New Event');
  await chooseEvent(page, 'Virtual Machines', 'Power On');
  await expect(field(page, 'Virtual Machine').locator('option')).toHaveText(['Any', 'web "01"', 'web-02']);
  await field(page, 'Use Tag').check();
  await expect(field(page, 'Virtual Machine')).toHaveCount(0);
  await field(page, 'Tag').selectOption('Environment - production');
  await field(page, 'Task').selectOption('Start workflow');
  await submit(page);
  await seeTitle(page, 'Event: Power On');

  await page.getByRole('link', { name: 'Deliveries', exact: true }).click();
  await expect(page.getByText('Every message that a task sends')).toBeVisible();
  await mark(page);
  const [, other] = await happen(hook);
  await seeRequest(hook);
  await seeOutcome(page, hook, other);
});

/** Presses Tab until the control has the focus. */
async function tabTo(page: Page, target: Locator, key = 'Tab') {
  await expect(target).toBeVisible();
  for (let presses = 0; presses < 150; presses += 1) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press(key);
  }
  throw new Error(`${target} is not reached with ${key}`);
}

test('by keyboard: inventory, webhook, task and event send one exact request', async ({ page, hook }) => {
  test.setTimeout(180_000);
  const keys = page.keyboard;
  const type = async (label: string, text: string, within: Page | Locator = page) => {
    await tabTo(page, field(within, label));
    await keys.type(text);
  };
  // Uses the arrow keys, since a select forgets typed letters within a second.
  const choose = async (label: string, option: string) => {
    const select = field(page, label);
    await tabTo(page, select);
    const options = await select.locator('option').allTextContents();
    for (let index = options.indexOf(option); index > 0; index -= 1) await keys.press('ArrowDown');
    await expect(select.locator('option:checked')).toHaveText(option);
  };
  const press = async (target: Locator, key = 'Enter', tab = 'Tab') => {
    await tabTo(page, target, tab);
    await keys.press(key);
  };
  const link = (name: string) => page.getByRole('link', { name, exact: true }).first();

  await page.goto(`${hook.url}/sign-in`);
  await type('Name', 'maria');
  await type('Password', password);
  await keys.press('Enter');
  await seeTitle(page, 'Tasks Dashboard');
  await waitForHydration(page);
  await press(link('Inventory'));
  await seeTitle(page, 'Objects');
  await press(link('Tags'));
  await seeTitle(page, 'Tags');
  const category = page.getByRole('form', { name: 'New Tag Category' });
  await type('Name', 'Environment', category);
  await press(category.getByLabel('Virtual Machines'), 'Space');
  await press(category.getByRole('button', { name: 'Add category' }));
  await expect(page.getByText('Saved.')).toBeVisible();
  await waitForHydration(page);
  await type('Name', 'production', page.getByRole('form', { name: 'New Tag', exact: true }));
  await keys.press('Enter');
  await expect(page.getByRole('region', { name: 'Environment' })).toContainText('production');
  await waitForHydration(page);
  await bringInventory(hook);

  await press(link('New Webhook'));
  await seeTitle(page, 'New Webhook');
  await type('Name', 'Zapier');
  await type('URL', `${hook.inbox}/hooks/vm`);
  await choose('Authorization Type', 'Bearer');
  await type('Authorization Token', 's3cr3t-token');
  for (const [number, name, value] of [[2, 'X-Env', 'production'], [3, 'X-Route', 'a'], [4, 'X-Trace', '2']] as const) {
    await press(toolbar(page, 'Add'), 'Enter', number === 2 ? 'Tab' : 'Shift+Tab');
    await expect(field(page, 'New header name')).toBeFocused();
    await keys.type(name);
    await type(`Header ${number} value`, value);
  }
  await press(field(page, 'Check header 4'), 'Space', 'Shift+Tab');
  await press(field(page, 'Check header 3'), 'Space', 'Shift+Tab');
  await press(toolbar(page, 'Up'), 'Enter', 'Shift+Tab');
  await expect(field(page, 'Header 2 name')).toHaveValue('X-Route');
  await keys.press('Space');
  await expect(field(page, 'Header 1 name')).toHaveValue('X-Route');
  await press(toolbar(page, 'Raw'), 'Space');
  await tabTo(page, field(page, 'Headers as text'));
  await keys.press('Control+End');
  await keys.press('Enter');
  await keys.type('X-Last: z');
  await press(toolbar(page, 'Raw'), 'Enter', 'Shift+Tab');
  await expect(field(page, 'Header 5 name')).toHaveValue('X-Last');
  await press(page.getByRole('button', { name: 'Submit' }));
  await seeTitle(page, 'Webhook: Zapier');

  await press(link('New Task'));
  await seeTitle(page, 'New Task');
  await type('Name', 'Start workflow');
  await choose('Object', 'Zapier');
  await tabTo(page, field(page, 'Message'));
  await keys.press('Control+A');
  await keys.type(template);
  await press(page.getByRole('button', { name: 'Submit' }));
  await seeTitle(page, 'Task: Start workflow');

  await press(link('New Event'));
  await seeTitle(page, 'New Event');
  await choose('Type', 'Virtual Machines');
  await choose('Event', 'Power On');
  await press(field(page, 'Use Tag'), 'Space');
  await choose('Tag', 'Environment - production');
  await choose('Task', 'Start workflow');
  await press(page.getByRole('button', { name: 'Submit' }));
  await seeTitle(page, 'Event: Power On');

  await press(link('Deliveries'));
  await expect(page.getByText('Every message that a task sends')).toBeVisible();
  await mark(page);
  const [, other] = await happen(hook);
  await seeRequest(hook);
  await seeOutcome(page, hook, other);
});
