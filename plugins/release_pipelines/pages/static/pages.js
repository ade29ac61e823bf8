// What every page has: Airflow's colours, and links that lead out of the frame.
import { follow } from "./frame.js";
import { steer } from "./steer.js";

follow();
steer();
