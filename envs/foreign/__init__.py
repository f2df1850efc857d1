"""Tasks from elsewhere: robosuite's own (`robosuite/Lift`), gymnasium's (`gymnasium/ID`), and classes of a module of one's own (`my_module:MyTask`)."""
